"""Who sends: topics, and messages from payloads."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agender import __version__
from edge_agender.config.settings import Config
from edge_agender.messages.message import Message


def sender_of(config: Config) -> Sender:
    """Return who speaks in this process's messages, with a new boot id."""
    qos = config.mqtt.qos.model_dump()
    return Sender(config.mqtt.prefix, config.device.name, secrets.token_hex(8), __version__, qos)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks, and how: topics are {prefix}/{device}/{kind}. `qos` by kind; a kind not in it is sent at 0."""

    prefix: str
    device: str
    boot_id: str
    software: str
    qos: Mapping[str, int]

    def topic(self, kind: str) -> str:
        return f"{self.prefix}/{self.device}/{kind}"

    def message(self, kind: str, payload: Any, *, retain: bool = False, durable: bool = False) -> Message:
        data = _encode(payload).encode()
        return Message(kind, self.topic(kind), data, self.qos.get(kind, 0), retain, durable)


# Built once: json.dumps with arguments makes a new encoder for each message. Payloads are built here, none in a circle.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False).encode
