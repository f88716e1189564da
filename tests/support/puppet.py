"""A broker that does as a test says: as much MQTT as it takes to answer, and to refuse what real brokers seldom do."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.support.link import read_packet
from tests.support.one_at_a_time import OneAtATime

CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PING = 1, 3, 8, 10, 12
# What it answers to a packet of this kind; None ends the connection.
Answer = Callable[[int, int, bytes], bytes | None]


def packet(kind: int, body: bytes) -> bytes:
    """Return a packet of which the body is shorter than 128 bytes."""
    assert len(body) < 128
    return bytes([kind << 4, len(body)]) + body


def connack(code: int = 0, properties: bytes = b"") -> bytes:
    """Return a CONNACK of MQTT 5."""
    return packet(2, bytes([0, code, len(properties)]) + properties)


def disconnect(code: int) -> bytes:
    return packet(14, bytes([code, 0]))


def topic_and_number(body: bytes) -> tuple[str, bytes]:
    """Return where a PUBLISH of QoS 1 goes, and its number."""
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end].decode(), body[end : end + 2]


def well_behaved(kind: int, head: int, body: bytes) -> bytes | None:
    """What a broker of MQTT 5 answers that takes everything."""
    if kind == CONNECT:
        return connack()
    if kind == PUBLISH:
        return packet(4, topic_and_number(body)[1]) if head & 6 else b""
    if kind == SUBSCRIBE:
        return packet(9, body[:2] + b"\0\1")
    if kind == UNSUBSCRIBE:
        return packet(11, body[:2] + b"\0\0")
    return b"\xd0\0" if kind == PING else b""


class Puppet(OneAtATime):
    """Gives `answer` to each packet."""

    ends = (ConnectionError, IndexError)

    def __init__(self, answer: Answer = well_behaved) -> None:
        super().__init__()
        self._answer = answer

    def talk(self, connection: socket.socket) -> None:
        while True:
            head, body = read_packet(connection)
            answer = self._answer(head >> 4, head, body)
            if answer is None:
                return
            connection.sendall(answer)
