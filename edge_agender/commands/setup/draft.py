"""What the answers make: a configuration that the real settings accept, and the secrets beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_agender.commands.setup import unit
from edge_agender.common.media import PICTURE_SUFFIXES
from edge_agender.config import secrets as passwords
from edge_agender.config.addresses import parse_address
from edge_agender.config.load import apply_overrides, source_overrides, validate
from edge_agender.config.settings import Config, MqttConfig, TlsConfig
from edge_agender.config.token import Token
from edge_agender.delivery.mqtt.connection import tls_context
from edge_agender.errors import ConfigError, CredentialError, MediaError

# What setup asks for stands in the file even where it is the default: a later default must not change it.
ASKED = ("device.name", "source.kind", "privacy.level", "mqtt.host", "estimator.model")
CA_FILE = Path("/etc/edge-agender/broker-ca.pem")
_READABLE_FOR_ALL, _PASSABLE_FOR_ALL = 0o004, 0o001


@dataclass(frozen=True, slots=True)
class Draft:
    """`data` is the configuration as YAML holds it; every Draft is valid. `password` None: none, or what is there."""

    data: Mapping[str, Any] = field(default_factory=dict)
    password: str | None = None
    ca: bytes | None = None
    ca_from: Path | None = None

    @property
    def config(self) -> Config:
        return validate(self.data, "setup")

    def trial(self, root: Path) -> MqttConfig:
        """The broker as it can be tried before the files are in place, or while their place is below a root."""
        mqtt = self.config.mqtt
        if mqtt.tls.ca_file != CA_FILE:
            return mqtt
        ca_file = self.ca_from or root / CA_FILE.relative_to("/")
        return mqtt.model_copy(update={"tls": mqtt.tls.model_copy(update={"ca_file": ca_file})})

    def with_options(self, options: Mapping[str, object]) -> Draft:
        """Return a Draft with these options (by path) set; raise ConfigError where the settings refuse them."""
        words = [f"{path}={json.dumps(value, ensure_ascii=False)}" for path, value in options.items()]
        return self._with(words)

    def _with(self, overrides: list[str]) -> Draft:
        data = apply_overrides(self.data, overrides)
        _checked(data)
        return replace(self, data=data)


def with_name(draft: Draft, text: str) -> Draft:
    return draft.with_options({"device.name": text})


def with_host(draft: Draft, text: str) -> Draft:
    """An address such as broker.local, broker.local:1884 or mqtts://broker.local; it replaces several brokers too."""
    draft = draft.with_options({"mqtt.hosts": []})
    try:
        address = parse_address(text)
    except ValueError:
        return draft.with_options({"mqtt.host": text})
    options: dict[str, object] = {"mqtt.host": address.host}
    if address.port is not None:
        options["mqtt.port"] = address.port
    if address.tls and not draft.config.mqtt.uses_tls:
        options["mqtt.tls.enabled"] = True
    return draft.with_options(options)


def with_port(draft: Draft, text: str) -> Draft:
    """A port that the settings would choose by themselves is left to them."""
    chosen = draft.with_options({"mqtt.port": text})
    usual = draft.with_options({"mqtt.port": None})
    same = usual.config.mqtt.brokers[0].address == chosen.config.mqtt.brokers[0].address
    return usual if same else chosen


def with_tls(draft: Draft, text: str) -> Draft:
    """`no`, `yes`, or a file with the broker's certificate authority, which is copied to where all may read it."""
    if text.lower() in ("no", "n"):
        return replace(draft.with_options({"mqtt.tls": None}), ca=None, ca_from=None)
    if text.lower() in ("yes", "y"):
        return replace(draft.with_options({"mqtt.tls.ca_file": None, "mqtt.tls.enabled": True}), ca=None, ca_from=None)
    if text == str(draft.config.mqtt.tls.ca_file):
        return draft
    path = _path(text)
    tls_context(TlsConfig(ca_file=path))
    if _service_reads(path):
        return replace(draft.with_options({"mqtt.tls.ca_file": str(path)}), ca=None, ca_from=None)
    content = path.read_bytes()
    if b"PRIVATE KEY" in content:
        raise CredentialError(f"{path}: holds a private key, and its copy would be for all to read: give the CA alone")
    return replace(draft.with_options({"mqtt.tls.ca_file": str(CA_FILE)}), ca=content, ca_from=path)


def with_user(draft: Draft, text: str) -> Draft:
    """`-` is nobody. A new user does not read the old one's password_file."""
    name = None if text in ("-", "") else text
    if name == draft.config.mqtt.username:
        return draft
    return replace(draft.with_options({"mqtt.username": name, "mqtt.password_file": None}), password=None)


def with_password(draft: Draft, text: str) -> Draft:
    """The password goes to the unit's credential; a password_file would come before it."""
    passwords.check(text, "the password")
    return replace(draft.with_options({"mqtt.password_file": None}), password=text)


def with_enrolment(draft: Draft, token: Token, remote_config: bool = True) -> Draft:
    """Name, broker, user and authority as a fleet says; the password goes to the unit's credential.

    The fleet may set options from afar, save where `remote_config` or the file that is there says no.
    """
    several = len(token.hosts) > 1
    draft = draft.with_options({"mqtt.hosts": [], "mqtt.port": None, "mqtt.tls": None})
    tls = {"enabled": True} | ({"ca_file": str(CA_FILE)} if token.ca else {}) if token.tls else None
    draft = draft.with_options(
        {
            "device.name": token.name,
            "mqtt": {
                **draft.data.get("mqtt", {}),
                **{"host": "localhost" if several else token.hosts[0], "hosts": token.hosts if several else []},
                **{"prefix": token.prefix, "protocol": token.protocol, "tls": tls},
                **{"username": token.name, "password_file": None},
            },
            "fleet": {"remote_config": remote_config, **(draft.data.get("fleet") or {})},
        }
    )
    if token.ca is None:
        return with_password(draft, token.password)
    return replace(with_password(draft, token.password), ca=token.ca.encode(), ca_from=_in_memory(token.ca))


def _in_memory(text: str) -> Path:
    """A file for as long as this process lives: the broker is tried before anything is written."""
    descriptor = os.memfd_create("broker-ca")
    os.write(descriptor, text.encode())
    return Path(f"/proc/self/fd/{descriptor}")


def with_source(draft: Draft, text: str) -> Draft:
    if text == source_text(draft.config):
        return draft
    chosen = draft._with(source_overrides(text))
    uri = chosen.config.source.opencv.uri or ""
    if chosen.config.source.kind == "images" or (chosen.config.source.kind == "opencv" and _is_file(uri)):
        return chosen._with(source_overrides(str(_file_for_the_service(text))))
    return chosen


def with_privacy(draft: Draft, text: str) -> Draft:
    return draft.with_options({"privacy.level": text})


def source_text(config: Config) -> str:
    """What to type for the source that is configured."""
    source = config.source
    if source.kind == "opencv":
        return source.opencv.uri or ""
    return str(source.images.paths[0]) if source.kind == "images" else source.kind


def tls_text(config: Config) -> str:
    if config.mqtt.tls.ca_file is not None:
        return str(config.mqtt.tls.ca_file)
    return "yes" if config.mqtt.uses_tls else "no"


def _checked(data: Mapping[str, Any]) -> None:
    """Raise ConfigError in words for the person at the keyboard."""
    try:
        validate(data, "")
    except ConfigError as error:
        raise ConfigError("\n".join(line.removeprefix(": ") for line in str(error).splitlines())) from None


def _is_file(uri: str) -> bool:
    return "://" not in uri and not uri.isdigit() and not uri.startswith("/dev/")


def _file_for_the_service(text: str) -> Path:
    path = _path(text)
    # No text at all would be the folder that setup happens to run in.
    if not text or not _is_there(path):
        known = (
            f"picamera2, demo, /dev/video0, an rtsp or http URL, a video, or pictures ({', '.join(PICTURE_SUFFIXES)})"
        )
        raise MediaError(f"source {text}: no such file: give {known}")
    if unit.hides(path):
        raise MediaError(f"source {text}: the service cannot see below {', '.join(unit.HIDDEN)}: move it to /srv")
    return path


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        # There is no such user, and so no such file.
        return Path(text).absolute()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _service_reads(path: Path) -> bool:
    real = path.resolve()
    passable = all(folder.stat().st_mode & _PASSABLE_FOR_ALL for folder in real.parents)
    return not unit.hides(path) and passable and bool(real.stat().st_mode & _READABLE_FOR_ALL)
