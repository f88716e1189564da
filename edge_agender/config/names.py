"""Names that one broker takes and another does not: allowed, and warned about before they cost a message."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agender.config.settings import Config


def name_warnings(config: Config) -> list[str]:
    """Return one line for each name in a topic, or client id, that brokers treat differently."""
    names = {
        "device.name": config.device.name,
        "mqtt.prefix": config.mqtt.prefix,
        "mqtt.client_id": config.mqtt.client_id or "",
    }
    return [f"{path}: {text}" for path, name in names.items() for text in _doubts(name)]


def _doubts(name: str) -> Iterator[str]:
    if "." in name:
        yield "holds a dot, which RabbitMQ turns into / and some NATS servers refuse: use - instead"
    if " " in name:
        yield "holds a blank, which NATS servers refuse in a topic: use - instead"
    if not name.isascii():
        yield "holds a letter beyond ASCII, which some brokers and ACLs do not match: use a to z, digits and -"
