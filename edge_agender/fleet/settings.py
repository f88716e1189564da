"""Options of `edge-agender fleet`: fleet.yaml, read like the device's config.yaml. Names carry their unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from edge_agender.config.mqtt import MqttConfig
from edge_agender.config.section import NotNegative, Positive, Section, is_loopback
from edge_agender.fleet.publish import Rules

DEFAULT_FOLDER = Path("/var/lib/edge-agender-fleet")
Port = Annotated[int, Field(ge=0, le=65535)]
Days = Annotated[float, Field(gt=0)]


class OwnBrokerConfig(Section):
    """A Mosquitto that `fleet serve` writes the configuration of, starts and stops."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 1883
    # With both, the listener takes TLS only.
    certificate_file: Path | None = None
    key_file: Path | None = None
    # What devices are told to trust (fleet enrol).
    ca_file: Path | None = None
    # Megabytes that wait for the collector at most. What comes then is dropped, and devices are asked for it later.
    queued_mb: Annotated[float, Field(gt=0, le=2000)] = 1000.0
    # Name or address by which devices reach this broker.
    address: str | None = None

    @model_validator(mode="after")
    def both_or_none(self) -> OwnBrokerConfig:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        return self


class NatsConfig(Section):
    """Three nodes of NATS JetStream, whose MQTT listeners the devices use."""

    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    user: str | None = None
    password_file: Path | None = None
    domain: str | None = None
    # Where devices find the nodes' MQTT listeners (fleet enrol).
    mqtt_addresses: Annotated[tuple[str, ...], Field(min_length=1)] = ("127.0.0.1:1883",)
    consumer: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "edge-agender-fleet"
    # What waits for the collectors at most: megabytes on each node, messages of one kind from one device. What comes
    # then is not acknowledged: the devices keep it.
    queued_mb: Annotated[float, Field(gt=0, le=1e7)] = 10_000.0
    queued_messages: Annotated[int, Field(ge=1)] = 100_000


class PageConfig(Section):
    enabled: bool = True
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 8090
    session_h: Positive = 12.0
    # Names under which browsers may ask for the page, beside addresses and localhost.
    hostnames: tuple[str, ...] = ()
    # TLS ends at a reverse proxy in front of the page: cookies are marked for https alone.
    https: bool = False

    @property
    def on_loopback(self) -> bool:
        return is_loopback(self.host)


class KeepConfig(Section):
    """Days for which each kind is kept; hours and published days stay."""

    raw_days: Days = 14.0
    window_days: Days = 400.0
    demographics_days: Days = 1200.0
    refused_days: Days = 30.0


class PublishConfig(Section):
    min_cell: Annotated[int, Field(ge=1, le=100)] = 5
    timezone: str = "UTC"
    settle_s: NotNegative = 600.0
    settle_day_s: NotNegative = 7200.0

    @field_validator("timezone")
    @classmethod
    def known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("not a time zone such as Europe/Berlin") from None
        return value

    def rules(self) -> Rules:
        return Rules(self.min_cell, ZoneInfo(self.timezone), self.settle_s, self.settle_day_s)


class HealConfig(Section):
    """Asking devices for what a broker lost."""

    enabled: bool = True
    after_s: Positive = 60.0
    every_s: Positive = 300.0
    # Then the gap is given up and shown as lost.
    tries: Annotated[int, Field(ge=1)] = 20


class FleetConfig(Section):
    folder: Path = DEFAULT_FOLDER
    store: str | None = None
    prefix: Annotated[str, Field(min_length=1)] = "edge-agender"
    broker: Literal["own", "mqtt", "nats"] = "own"
    own: OwnBrokerConfig = OwnBrokerConfig()
    mqtt: MqttConfig = MqttConfig()
    nats: NatsConfig = NatsConfig()
    page: PageConfig = PageConfig()
    keep: KeepConfig = KeepConfig()
    publish: PublishConfig = PublishConfig()
    heal: HealConfig = HealConfig()
    offline_after_s: Positive = 300.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def one_prefix(self) -> FleetConfig:
        if self.mqtt.prefix not in (MqttConfig().prefix, self.prefix):
            raise ValueError(f"set prefix: {self.mqtt.prefix} in place of mqtt.prefix")
        return self

    @property
    def store_url(self) -> str:
        return self.store or f"sqlite:///{self.folder / 'fleet.sqlite3'}"
