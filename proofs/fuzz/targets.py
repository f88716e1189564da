"""What is fuzzed, from which seeds, and what must be true whatever the bytes are."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from edge_agender.audience.measures import Content
from edge_agender.config.load import apply_overrides, parse_yaml, validate
from edge_agender.config.remote import with_remote
from edge_agender.config.settings import Config
from edge_agender.delivery.inbox import MOST_WAITING, Announce, Inbox
from edge_agender.errors import ConfigError, ModelError
from edge_agender.inference.catalogue import parse_manifest
from edge_agender.messages.inbound import parse_desired

ROOT = Path(__file__).parents[2]
COMMANDS = (
    b"on",
    b"OFF",
    b'{"enabled": true}',
    b'{"revision": 7, "configuration": {"privacy": {"level": "aggregate"}, "window": {"length_s": 300}}}',
    b'{"enabled": false, "by": "guard"}',
    b'{"id": "spring-sale", "until": "2026-01-31T12:00:00Z"}',
    b'{"id": null}',
    b"online",
    b"",
)
# Tags and signs of YAML that a mutation hits on seldom.
YAML_WORDS = ("!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!binary", "!!set", "!!omap", "!!pairs", "!!map")
YAML_WORDS += ("!!seq", "!!str", "!!python/object:os.system", "<<", "&a", "*a", "? ", "--- ", "...", "|", ">-")
YAML_WORDS += ("%YAML 1.1", ".inf", ".nan", "0x", "0o", "1:30", "2001-12-14t21:59:43.10-05:00", "~", "[", "]", "{", "}")


@dataclass(frozen=True)
class Target:
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[str, ...]
    max_bytes: int


def config(data: bytes) -> None:
    """Text -> Config or ConfigError, nothing else; what is accepted says itself again."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    with contextlib.suppress(ConfigError):
        accepted = validate(parse_yaml(text, "file"), "file")
        assert Config.model_validate_json(accepted.model_dump_json()) == accepted
    with contextlib.suppress(ConfigError):
        validate(apply_overrides({}, text.split("\n")), "--set")


def commands(data: bytes) -> None:
    """No message raises or leaves anything but well-formed orders, and no more of them than are bounded."""
    inbox = Inbox()
    for payload in (data, *data.split(b"\n")):
        inbox.enabled("d/enabled/set", payload)
        inbox.content("d/content", payload)
        inbox.birth("homeassistant/status", payload)
        with contextlib.suppress(ValueError):
            desired = parse_desired(payload)
            with contextlib.suppress(ConfigError):
                with_remote(Config(), desired.configuration)
    left = inbox.drain()
    assert len(left) <= MOST_WAITING + 1
    for order in left:
        assert isinstance(order, bool | Content | Announce)
        if isinstance(order, Content):
            assert order.id is None or (0 < len(order.id) <= 64 and order.id.isprintable())
            order.at(1.7e9)


def manifest(data: bytes) -> None:
    """Bytes -> Manifest or ModelError; no file name of an accepted one leaves its folder."""
    try:
        accepted = parse_manifest(data, "manifest.yaml")
    except ModelError:
        return
    for spec in accepted.models.values():
        for file in (*spec.sources, *(file for network in spec.networks for file in network.files)):
            assert Path(file.name).name == file.name
        assert all(0 < side <= 1024 for side in spec.input.shape)
    json.loads(accepted.model_dump_json())


def _sections() -> Iterable[bytes]:
    """The defaults, a section at a time: small, so that thousands of inputs a minute can be tried."""
    for name, content in Config().model_dump(mode="json").items():
        yield yaml.safe_dump({name: content}).encode()
        yield "\n".join(f"{name}.{option}={json.dumps(value)}" for option, value in content.items()).encode()


def _models() -> Iterable[bytes]:
    """Each model of the manifests as a manifest of its own."""
    for path in (ROOT / "models/manifest.yaml", ROOT / "models/published.yaml"):
        whole = yaml.safe_load(path.read_text())
        for name, model in whole["models"].items():
            yield yaml.safe_dump({"schema": whole["schema"], "models": {name: model}}).encode()


def _options() -> tuple[str, ...]:
    names = set(Config.model_fields)
    for field in Config.model_fields.values():
        names |= set(getattr(field.annotation, "model_fields", {}))
    return tuple(sorted(names))


TARGETS = {
    "config": Target(config, _sections, (*YAML_WORDS, *_options()), 2000),
    "commands": Target(commands, lambda: COMMANDS, ("enabled", "id", "until", "null", "Z", "+00:00", "on", "off"), 600),
    "manifest": Target(manifest, _models, YAML_WORDS, 4000),
}
