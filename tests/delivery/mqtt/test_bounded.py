"""However large a packet is that a broker sends, it never is in memory."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agender.delivery.mqtt.bounded import BoundedSocket
from tests.support.broker import Broker, needs_mosquitto, running

LIMIT = 100


def publish(topic: bytes, size: int, *, qos: int = 0, head: int = 0, mqtt_5: bool = True) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + (b"\0\7" if qos else b"") + (b"\0" if mqtt_5 else b"") + bytes(size)
    return bytes([0x30 | head | qos << 1]) + packed(len(body)) + body


def packed(size: int) -> bytes:
    data = bytearray()
    while True:
        data.append(size & 127 | (128 if size > 127 else 0))
        size >>= 7
        if not size:
            return bytes(data)


def received(data: bytes, chunk: int = 50_000, *, mqtt_5: bool = True) -> bytes:
    """What comes through when the bytes arrive in chunks, without the answers to pings that are made up."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        bounded, got = BoundedSocket(ours, LIMIT, mqtt_5=mqtt_5), b""
        for start in range(0, len(data), chunk):
            theirs.sendall(data[start : start + chunk])
            while True:
                try:
                    got += bounded.recv(7)
                except BlockingIOError:
                    break
                if not bounded.pending() and got.endswith(b"\xd0\0"):
                    got = got[:-2]
    return got


@given(st.lists(st.integers(0, 300), max_size=6), st.integers(1, 400), st.sampled_from([0, 1]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_small_packets_come_as_they_are_and_large_ones_just_too_large(
    sizes: list[int], chunk: int, qos: int, mqtt_5: bool
) -> None:
    data, expected = b"", b""
    for size in sizes:
        packet = publish(b"a/b", size, qos=qos, mqtt_5=mqtt_5)
        data += packet
        expected += packet if len(packet) <= LIMIT else publish(b"a/b", LIMIT, qos=qos, mqtt_5=mqtt_5)
    assert received(data, chunk, mqtt_5=mqtt_5) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\x20" + packed(5000) + bytes(5000),
        b"\x34\x08\0\1a\0\1\0ab",
        b"\x30\xff\xff\xff\xff\x01",
        publish(b"t" * 300, 10),
    ],
    ids=["CONNACK of 5 kB", "QoS 2", "no length", "long topic"],
)
def test_what_no_broker_may_send_ends_the_connection(data: bytes) -> None:
    with pytest.raises(OSError, match=r"packet|message"):
        received(data)


CHILD = """
import resource, sys, threading
from pathlib import Path
from edge_agender.config.settings import MqttConfig, OutboxConfig
from edge_agender.delivery.mqtt.publisher import Publisher
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.messages.message import Message
port, protocol, folder = sys.argv[1:]
outbox = Outbox(OutboxConfig(path=Path(folder)))
config = MqttConfig(host="127.0.0.1", port=int(port), protocol=protocol)
publisher = Publisher(config, "d", outbox, lambda state: Message("status", "p/d/status", state.encode(), 1, True))
heard = threading.Event()
publisher.subscribe("p/d/content", lambda *_: None)
publisher.subscribe("p/d/word", lambda *_: heard.set())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with outbox, publisher:
    assert heard.wait(100), publisher.state()
    state = publisher.state()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, state.unheard, state.connects)
"""


@needs_mosquitto
@pytest.mark.parametrize(("protocol", "unheard"), [("3.1.1", "1"), ("5", "0")])
def test_240_mb_of_retained_content_are_never_in_memory(tmp_path: Path, protocol: str, unheard: str) -> None:
    """An MQTT 5 broker keeps it back, as CONNECT asks; one of MQTT 3.1.1 sends it, and it is dropped as it comes."""
    with running(Broker(tmp_path / "broker")) as broker:
        retain(broker.port, b"p/d/content", 240_000_000)
        retain(broker.port, b"p/d/word", 10)
        command = [sys.executable, "-c", CHILD, str(broker.port), protocol, str(tmp_path / "state")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    grown_kb, *counts = done.stdout.split()
    assert int(grown_kb) < 30_000
    assert counts == [unheard, "1"]


def retain(port: int, topic: bytes, size: int) -> None:
    """Leave a retained message at the broker without holding it in memory here."""
    head = len(topic).to_bytes(2, "big") + topic + b"\0\1"
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"\x10\x0e\0\4MQTT\4\2\0\0\0\2xy")
        assert sock.recv(4) == b"\x20\2\0\0"
        sock.sendall(b"\x33" + packed(len(head) + size) + head)
        for start in range(0, size, 1_000_000):
            sock.sendall(bytes(min(1_000_000, size - start)))
        assert sock.recv(4) == b"\x40\2\0\1"
