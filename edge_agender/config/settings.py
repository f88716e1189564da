"""Every option: its name, type, default and limits. config.yaml is the same in prose; a test compares the two.

Names carry their unit. Sections are frozen and know no other keys, so a typing error is an error with a path.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edge_agender.config.audience import (
    SHORTEST_PERIOD_S,
    AudienceConfig,
    DemographicsConfig,
    TrackingConfig,
    WindowConfig,
)
from edge_agender.config.hours import parse_hours
from edge_agender.config.mqtt import MqttConfig as MqttConfig
from edge_agender.config.mqtt import QosConfig as QosConfig
from edge_agender.config.mqtt import TlsConfig as TlsConfig
from edge_agender.config.section import (
    LARGEST,
    MOST_PEOPLE,
    MOST_THREADS,
    Fraction,
    NotNegative,
    Positive,
    Section,
    Timeout,
    Topic,
    TopicLevel,
    option_names,
)
from edge_agender.config.section import is_loopback as is_loopback

# Its period must be a time that can be waited for.
Rate = Annotated[float, Field(ge=0.001, le=1e6)]
MOST_ENTRIES = 10_000_000


def default_device_name() -> str:
    return socket.gethostname().split(".")[0] or "edge-agender"


# At level aggregate, seconds between health messages.
AGGREGATE_HEALTH_S = 30


class DeviceConfig(Section):
    name: TopicLevel = Field(default_factory=default_device_name)


class Picamera2Config(Section):
    camera: Annotated[int, Field(ge=0, le=99)] = 0
    autofocus: Literal["continuous", "manual", "off"] = "continuous"
    lens_position_dioptres: NotNegative | None = None
    exposure_us: Annotated[int, Field(gt=0, le=1_000_000_000)] | None = None
    gain: Positive | None = None
    buffers: Annotated[int, Field(ge=2, le=8)] = 4
    timeout_s: Timeout = 5.0


class OpencvConfig(Section):
    uri: str | None = None
    pace: bool = True
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    timeout_s: Timeout = 10.0
    reconnect_max_s: Positive = 60.0


class ImagesConfig(Section):
    paths: tuple[Path, ...] = ()


class DemoConfig(Section):
    people: Annotated[int, Field(ge=0, le=MOST_PEOPLE)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 7
    pace: bool = True
    stay: bool = False
    duration_s: Positive | None = None


class RegionConfig(Section):
    """The part of the picture that counts, as parts of its width and height."""

    x: Fraction = 0.0
    y: Fraction = 0.0
    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    height: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def inside(self) -> RegionConfig:
        if self.x + self.width > 1 + 1e-9 or self.y + self.height > 1 + 1e-9:
            raise ValueError("the region must lie inside the picture: x + width and y + height are at most 1")
        return self


class SourceConfig(Section):
    kind: Literal["picamera2", "opencv", "images", "demo"] = "picamera2"
    width_px: Annotated[int, Field(ge=64, le=4608)] = 1280
    height_px: Annotated[int, Field(ge=64, le=3456)] = 960
    small_width_px: Annotated[int, Field(ge=64, le=1280)] = 320
    small_height_px: Annotated[int, Field(ge=64, le=960)] = 240
    rate_hz: Annotated[float, Field(ge=0.001, le=120)] = 15.0
    frozen_after_s: NotNegative = 10.0
    rotate_deg: Literal[0, 90, 180, 270] = 0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    region: RegionConfig = RegionConfig()
    picamera2: Picamera2Config = Picamera2Config()
    opencv: OpencvConfig = OpencvConfig()
    images: ImagesConfig = ImagesConfig()
    demo: DemoConfig = DemoConfig()

    @model_validator(mode="after")
    def has_what_it_reads(self) -> SourceConfig:
        if self.kind == "opencv" and not self.opencv.uri:
            raise ValueError("kind opencv needs opencv.uri: a file, an http or rtsp URL, or /dev/video0")
        if self.kind == "images" and not self.images.paths:
            raise ValueError("kind images needs images.paths: files or folders")
        return self


# The model of each kind of detector that has one, where detector.model is empty.
DETECTOR_MODELS = {"ssd": "face-ssd", "res10": "res10", "yunet": "yunet"}


class DetectorConfig(Section):
    kind: Literal["ssd", "res10", "yunet", "haar"] = "ssd"
    model: str | None = None
    score_threshold: Fraction | None = None
    nms_iou: Fraction = 0.45
    min_face_px: Annotated[float, Field(ge=1, le=10_000)] = 16.0
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] = 1


class EstimatorConfig(Section):
    model: str = "agender-ssrnet"
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] = 1


class ModelsConfig(Section):
    """Whose models are trusted. No key: those that lie in the two folders."""

    public_key: str | None = None

    @field_validator("public_key")
    @classmethod
    def of_minisign(cls, value: str | None) -> str | None:
        # 42 bytes of base64 that begin with "Ed": no other text is a key.
        if value is not None and not re.fullmatch(r"RW[Q-T][A-Za-z0-9+/]{53}", value):
            raise ValueError("must be the second line of a minisign .pub file: 56 characters that begin with RW")
        return value


class GatingConfig(Section):
    motion: bool = True
    motion_luma: Annotated[float, Field(gt=0, le=255)] = 6.0
    idle_interval_s: NotNegative = 0.5
    still_interval_s: NotNegative = 0.25
    cadence: bool = True
    active_interval_s: NotNegative = 0.1
    estimates: bool = True


class ScheduleConfig(Section):
    """When it measures. No hours: always."""

    hours: tuple[str, ...] = ()
    off_file: Path | None = Path("/etc/edge-agender/off")
    off_pin: Annotated[int, Field(ge=0, le=1023)] | None = None
    off_pin_chip: Path = Path("/dev/gpiochip0")

    @field_validator("hours")
    @classmethod
    def readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            parse_hours(line)
        return value


class HomeAssistantConfig(Section):
    """Device discovery: Home Assistant finds the device by itself."""

    enabled: bool = False
    prefix: Topic = "homeassistant"


class PrivacyConfig(Section):
    level: Literal["aggregate", "frame", "viewer"] = "frame"
    min_cell: Annotated[int, Field(ge=1, le=1000)] = 5


class PublishConfig(Section):
    frames: Literal["every", "rate", "change"] = "every"
    max_rate_hz: Rate = 5.0
    idle_s: NotNegative = 1.0
    health_s: Annotated[float, Field(ge=1, le=LARGEST)] = 60.0


# A terabyte and ten years: what is beyond is a slip of the keyboard, and 1e300 no number of bytes.
MOST_MB, MOST_AGE_H = 1e6, 87_600


class OutboxConfig(Section):
    path: Path | None = None
    frames_durable: bool = False
    max_mb: Annotated[float, Field(gt=0, le=MOST_MB)] = 64.0
    max_age_h: Annotated[float, Field(gt=0, le=MOST_AGE_H)] = 168.0
    batch_s: NotNegative = 1.0
    memory_messages: Annotated[int, Field(ge=16, le=MOST_ENTRIES)] = 4096
    live_messages: Annotated[int, Field(ge=1, le=MOST_ENTRIES)] = 256
    live_max_age_s: Positive = 10.0
    historical_after_s: NotNegative = 30.0
    replay_rate_hz: Rate = 20.0
    keep_sent_days: NotNegative = 7.0
    keep_sent_mb: NotNegative = 16.0


class WebConfig(Section):
    """The status page. Beyond loopback it needs a password: it tells where people stand."""

    enabled: bool = True
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    password_file: Path | None = None
    hostnames: tuple[str, ...] = ()
    aim: bool = True
    stalled_after_s: Positive = 15.0

    @model_validator(mode="after")
    def protected(self) -> WebConfig:
        if self.enabled and not is_loopback(self.host) and self.password_file is None:
            raise ValueError(f"host {self.host} can be reached from elsewhere: set password_file, or host: 127.0.0.1")
        return self


class FleetRightsConfig(Section):
    """What whoever runs the broker's fleet may change from afar (config/remote.py says which options, and how far)."""

    remote_config: bool = False
    locked: tuple[str, ...] = ()


class LogConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section):
    device: DeviceConfig = DeviceConfig()
    source: SourceConfig = SourceConfig()
    detector: DetectorConfig = DetectorConfig()
    estimator: EstimatorConfig = EstimatorConfig()
    models: ModelsConfig = ModelsConfig()
    gating: GatingConfig = GatingConfig()
    tracking: TrackingConfig = TrackingConfig()
    audience: AudienceConfig = AudienceConfig()
    window: WindowConfig = WindowConfig()
    demographics: DemographicsConfig = DemographicsConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    home_assistant: HomeAssistantConfig = HomeAssistantConfig()
    publish: PublishConfig = PublishConfig()
    mqtt: MqttConfig = MqttConfig()
    outbox: OutboxConfig = OutboxConfig()
    web: WebConfig = WebConfig()
    fleet: FleetRightsConfig = FleetRightsConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def health_counts_nobody(self) -> Config:
        # Estimates of a few seconds would be a head count.
        if self.privacy.level == "aggregate" and self.publish.health_s < AGGREGATE_HEALTH_S:
            raise ValueError(
                f"publish.health_s must be at least {AGGREGATE_HEALTH_S} at privacy.level aggregate: more often, "
                "health messages show how many faces were looked at from moment to moment"
            )
        return self

    @model_validator(mode="after")
    def period_long_enough(self) -> Config:
        if self.demographics.period_s < SHORTEST_PERIOD_S and self.source.kind != "demo":
            raise ValueError(
                f"demographics.period_s must be at least {SHORTEST_PERIOD_S}; only the demo's synthetic people "
                "(source.kind: demo) may have shorter ones"
            )
        return self

    @model_validator(mode="after")
    def locks_what_there_is(self) -> Config:
        # A slip of the keyboard here would leave open what was meant to be locked.
        known = set(option_names(Config))
        for name in self.fleet.locked:
            if name not in known and not any(option.startswith(f"{name}.") for option in known):
                raise ValueError(f"fleet.locked: no option or section is called so: {name[:80]!r}")
        return self
