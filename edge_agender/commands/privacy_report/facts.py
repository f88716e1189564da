"""Config -> what is true of this device for a data-protection officer. No secret, and no place of one, is among it.

Left out on purpose: user names, client ids, files of passwords and keys, and a camera's address, which may hold one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.privacy import Gate
from edge_agender.config.settings import DETECTOR_MODELS, Config, MqttConfig, SourceConfig, is_loopback
from edge_agender.errors import ConfigError, ModelError
from edge_agender.inference.catalogue import find_model
from edge_agender.inference.spec import ModelSpec

Channel = Literal["checked TLS", "unchecked TLS", "no TLS"]
SERVICE_STATE = Path("/var/lib/edge-agender")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,15})://")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message. `kept`: on this device's disk until the broker has it; `people`: it tells of people."""

    name: str
    topic: str
    when: str
    qos: int
    kept: bool
    retained: bool
    people: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A network in use. `spec` None: no entry in a manifest, for the reason in `problem` or because it needs none."""

    task: str
    name: str
    spec: ModelSpec | None
    card: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    config: Config
    software: str
    fingerprint: str
    origin: str
    source: str
    live: bool
    networked_camera: bool
    bands: tuple[str, ...]
    kinds: tuple[Kind, ...]
    broker: str
    port: int
    broker_is_here: bool
    channel: Channel
    store: str
    web: Literal["off", "this device only", "the network"]
    models: tuple[Model, ...]

    @property
    def device(self) -> str:
        return self.config.device.name

    @property
    def hours(self) -> str:
        """Opening hours; they were checked, so that they hold nothing but days and times."""
        return ", ".join(self.config.schedule.hours) or "at all times"

    @property
    def level(self) -> Literal["aggregate", "frame", "viewer"]:
        return self.config.privacy.level

    def kind(self, name: str) -> Kind | None:
        return next((kind for kind in self.kinds if kind.name == name), None)


def facts_of(config: Config, *, software: str, fingerprint: str, origin: str) -> Facts:
    """`origin` says where the configuration was read; `fingerprint` is that of the window messages."""
    return Facts(
        config=config,
        software=software,
        fingerprint=fingerprint,
        origin=origin,
        source=_source(config.source),
        live=_is_live(config.source),
        networked_camera="over the network" in _source(config.source),
        bands=tuple(AgeBands(config.audience.age_bands).labels),
        kinds=tuple(_kinds(config)),
        broker=", ".join(each.host for each in config.mqtt.brokers),
        port=config.mqtt.brokers[0].effective_port,
        broker_is_here=all(is_loopback(each.host) for each in config.mqtt.brokers),
        channel=_channel(config.mqtt),
        store=str(config.outbox.path or f"{SERVICE_STATE} (the service's), or the user's own state folder"),
        web="off" if not config.web.enabled else "this device only" if is_loopback(config.web.host) else "the network",
        models=tuple(_models(config)),
    )


def _source(source: SourceConfig) -> str:
    size = f"{source.width_px}x{source.height_px} pixels, at most {source.rate_hz:g} pictures a second"
    if source.kind == "picamera2":
        return f"the Raspberry Pi's camera, {size}"
    if source.kind == "demo":
        return "no camera: generated pictures of synthetic faces"
    if source.kind == "images":
        return f"no camera: {len(source.images.paths)} picture files or folders"
    uri = source.opencv.uri or ""
    if scheme := _SCHEME.match(uri.lower()):
        return "a video file" if scheme[1] == "file" else f"a camera over the network ({scheme[1]}), {size}"
    return f"a camera at this device, {size}" if uri.isdigit() or uri.startswith("/dev/") else "a video file"


def _is_live(source: SourceConfig) -> bool:
    return "camera" in _source(source) and "no camera" not in _source(source)


def _channel(mqtt: MqttConfig) -> Channel:
    if not mqtt.uses_tls:
        return "no TLS"
    return "unchecked TLS" if mqtt.tls.insecure else "checked TLS"


def _kinds(config: Config) -> Iterator[Kind]:
    """Yield the kinds of messages that this configuration releases, those about people first."""
    gate = Gate(config.privacy)
    durable = config.outbox.frames_durable
    if gate.releases_frames:
        yield _kind(config, "frame", _frames_when(config), kept=durable, people=True)
    if gate.releases_viewers:
        yield _kind(config, "viewer", "when a viewer has left", kept=True, people=True)
    yield _kind(config, "window", f"every {config.window.length_s} seconds", kept=True, people=True)
    yield _kind(config, "demographics", f"every {config.demographics.period_s} seconds", kept=True, people=True)
    yield _kind(config, "health", f"every {config.publish.health_s:g} seconds")
    yield _kind(config, "status", "when the service starts, stops or is lost", retained=True)
    yield _kind(config, "enabled", "when measuring is switched on or off", retained=True)
    if config.fleet.remote_config:
        yield _kind(config, "reported", "when the fleet sets options from afar", retained=True)
    if config.home_assistant.enabled:
        topic = f"{config.home_assistant.prefix}/device/.../config"
        yield Kind("discovery", topic, "at the start", config.mqtt.qos.discovery, False, True, False)


def _kind(
    config: Config, name: str, when: str, *, kept: bool = False, retained: bool = False, people: bool = False
) -> Kind:
    topic = f"{config.mqtt.prefix}/{config.device.name}/{name}"
    return Kind(name, topic, when, getattr(config.mqtt.qos, name), kept, retained, people)


def _frames_when(config: Config) -> str:
    publish = config.publish
    if publish.frames == "rate":
        return f"at most {publish.max_rate_hz:g} times a second while somebody is in view"
    if publish.frames == "change":
        return "when the audience changes"
    return f"for every processed picture, at most {config.source.rate_hz:g} a second"


def _models(config: Config) -> Iterator[Model]:
    detector = config.detector.model or DETECTOR_MODELS.get(config.detector.kind)
    if detector is None:
        yield Model("finds faces", f"OpenCV's {config.detector.kind} cascade", None, None)
    else:
        yield _model("finds faces", detector, config)
    yield _model("estimates age and gender", config.estimator.model, config)


def _model(task: str, name: str, config: Config) -> Model:
    try:
        spec = _find(name, config.models.public_key)
    except (ModelError, ConfigError) as error:
        return Model(task, name, None, None, str(error))
    return Model(task, name, spec, _card(spec))


def _card(spec: ModelSpec) -> str | None:
    try:
        return (spec.folder / spec.card).read_text(encoding="utf-8", errors="replace") if spec.card else None
    except OSError:
        return None


def _find(name: str, public_key: str | None) -> ModelSpec:
    """Return a model of whoever asks, or of the service, whose added models lie in its own state folder."""
    try:
        return find_model(name, public_key=public_key)
    except ModelError:
        with suppress(ModelError):
            return find_model(name, SERVICE_STATE / "models", public_key=public_key)
        raise
