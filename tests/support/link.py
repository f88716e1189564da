"""An outbox and its publisher together, and what a test says through them."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge_agender.config.settings import MqttConfig, OutboxConfig
from edge_agender.delivery.mqtt.publisher import Publisher
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.messages.message import Message
from tests.support.broker import Ear, wait_until
from tests.support.one_at_a_time import OneAtATime

QUICK = {"reconnect_min_s": 0.05, "reconnect_max_s": 0.2}


def status(state: str) -> Message:
    return Message("status", "p/d/status", json.dumps({"state": state}).encode(), 1, True)


def window(number: int) -> Message:
    payload = json.dumps({"boot_id": "b", "sequence": number}).encode()
    return Message("window", "p/d/window", payload, 1, False, durable=True)


def frame(number: int, qos: int = 0) -> Message:
    return Message("frame", "p/d/frame", json.dumps({"sequence": number}).encode(), qos, False)


def settings(port: int, **changes: Any) -> MqttConfig:
    return MqttConfig(**{"port": port, "host": "localhost"} | QUICK | changes)


Status = Callable[[str], Message]


class Link:
    """An outbox and its publisher. Live messages keep, however long a busy machine takes to connect."""

    def __init__(self, config: MqttConfig, folder: Path, status: Status = status, **options: Any) -> None:
        self.outbox = Outbox(OutboxConfig(**{"path": folder, "live_max_age_s": 600.0} | options))
        self.publisher = Publisher(config, "d", self.outbox, status)
        self._stack = ExitStack()

    def __enter__(self) -> Link:
        self._stack.enter_context(self.outbox)
        self._stack.enter_context(self.publisher)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait_connected(self) -> None:
        wait_until(lambda: self.publisher.state().connected, what="connected")


def sequences(ear: Ear, topic: str = "p/d/window") -> list[int]:
    return [payload["sequence"] for payload in ear.payloads(topic)]


def once(heard: list[int]) -> list[int]:
    """Without what QoS 1 delivered again after a connection had ended."""
    return list(dict.fromkeys(heard))


def states(ear: Ear) -> list[str]:
    return [payload["state"] for payload in ear.payloads("p/d/status")]


class NarrowBroker(OneAtATime):
    """Speaks as much MQTT 5 as it takes to do what Mosquitto does not: count what is left unacknowledged, and hang up
    on a topic without a word."""

    def __init__(self, receive_maximum: int = 20, hang_up_on: bytes = b"\0", refusals: int | None = None) -> None:
        """`refusals`: so many subscriptions are refused, and the next is granted; None: none is answered."""
        super().__init__()
        self._refusals = refusals
        self.subscriptions: list[bool] = []
        self._properties = b"\x21" + receive_maximum.to_bytes(2, "big")
        self._hang_up_on = hang_up_on
        self.most_in_flight = 0
        self.hung_up = 0

    def talk(self, connection: socket.socket) -> None:
        unacknowledged: list[bytes] = []
        while True:
            if not select.select([connection], [], [], 0.05)[0]:
                for identifier in unacknowledged:
                    connection.sendall(b"\x40\x02" + identifier)
                unacknowledged.clear()
                continue
            kind, body = read_packet(connection)
            if kind >> 4 == 1:
                answer = b"\0\0" + bytes([len(self._properties)]) + self._properties
                connection.sendall(b"\x20" + bytes([len(answer)]) + answer)
            elif kind >> 4 == 8 and self._refusals is not None:
                self.subscriptions.append(len(self.subscriptions) >= self._refusals)
                code = b"\x01" if self.subscriptions[-1] else b"\x80"
                connection.sendall(b"\x90\x04" + body[:2] + b"\0" + code)
            elif kind >> 4 == 3 and kind & 6:
                end = 2 + int.from_bytes(body[:2], "big")
                if body[2:end] == self._hang_up_on:
                    self.hung_up += 1
                    return
                unacknowledged.append(body[end : end + 2])
                self.most_in_flight = max(self.most_in_flight, len(unacknowledged))


def read_packet(connection: socket.socket) -> tuple[int, bytes]:
    """Read one MQTT packet: its first byte and its body."""
    head = _exactly(connection, 1)[0]
    size = shift = 0
    while True:
        byte = _exactly(connection, 1)[0]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return head, _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    """Wait for so many bytes, however they come; ConnectionError where it ends before."""
    data = b""
    while len(data) < size:
        if not (more := connection.recv(size - len(data))):
            raise ConnectionError
        data += more
    return data
