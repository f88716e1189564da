"""What goes to the broker: built by messages.py, kept by outbox.py, sent by mqtt.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message, ready to be sent.

    `kind` is what it is about (frame, status, health, viewer, window, enabled, reported, discovery), not a topic.
    `durable` says that it must survive a restart of this process: the outbox keeps it on disk until acknowledged.
    """

    kind: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    durable: bool = False
