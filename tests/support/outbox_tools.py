"""What tests of the outbox put, take and look at."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from edge_agender.config.settings import OutboxConfig
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.delivery.outbox.parking import Entry
from edge_agender.delivery.outbox.store import FILE_NAME
from edge_agender.messages.message import Message
from tests.support.broker import wait_until


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def window(number: int, **changes: Any) -> Message:
    payload = json.dumps({"boot_id": "b", "sequence": number}).encode()
    return Message(
        **{"kind": "window", "topic": "p/d/window", "payload": payload, "qos": 1, "retain": False, "durable": True}
        | changes
    )


def frame(number: int, topic: str = "p/d/frame", retain: bool = False) -> Message:
    return Message("frame", topic, json.dumps({"sequence": number}).encode(), 0, retain)


def numbers(messages: list[Message]) -> list[int]:
    return [json.loads(message.payload)["sequence"] for message in messages]


def take_all(outbox: Outbox) -> list[tuple[Entry, Message]]:
    taken = []
    while (one := outbox.take()) is not None:
        taken.append(one)
    return taken


def drain(outbox: Outbox, count: int) -> list[Message]:
    """Take and acknowledge `count` durable messages, as a publisher would."""
    messages: list[Message] = []

    def more() -> bool:
        for entry, message in take_all(outbox):
            messages.append(message)
            outbox.acknowledge(entry)
        return len(messages) >= count

    wait_until(more, what=f"{count} messages")
    return messages


def options(folder: Path, **changes: Any) -> OutboxConfig:
    return OutboxConfig(path=folder, **{"replay_rate_hz": 1e6} | changes)


def stored(folder: Path) -> list[int]:
    """Sequence numbers on disk, read by another process's means once the outbox has let go."""
    with sqlite3.connect(folder / FILE_NAME) as database:
        return [
            json.loads(payload)["sequence"]
            for (payload,) in database.execute("SELECT payload FROM message ORDER BY id")
        ]
