"""A device that sends nothing that can be used: each payload with a number, so that none can vanish unseen."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agender.config.token import Token
from edge_agender.fleet.intake import MAX_BYTES
from edge_agender.messages.build import utc_text
from proofs.fleet.people import PLACES, Audience

EVERY_S = 0.4


def mark(number: int) -> str:
    return f"poison-{number:06d}"


class Poison:
    """A context manager: sends in between, and again what the broker has not acknowledged."""

    def __init__(self, token: Token) -> None:
        self._topic = f"{token.prefix}/{token.name}/window"
        self._name = token.name
        self._client = Client(CallbackAPIVersion.VERSION2, token.name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(token.name, token.password)
        self._client.reconnect_delay_set(1, 2)
        self._client.max_inflight_messages_set(1)
        self._where = token.hosts[0].rpartition(":")
        self._client.on_publish = lambda _client, _data, mid, *_: self._answered.add(mid)
        # Numbers of packets, in order; while there is no connection the library keeps what it cannot send.
        self._sent: list[int] = []
        self._answered: set[int] = set()
        self._window = Audience(PLACES[0], 1).window(int(time.time()) // 3600 * 3600 - 86400, 60)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Poison:
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 3600
        self._client.connect(self._where[0], int(self._where[2]), clean_start=False, properties=session)
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        until_s = time.monotonic() + 60
        while len(self.acknowledged) < len(self._sent) and time.monotonic() < until_s:
            time.sleep(0.1)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def acknowledged(self) -> list[str]:
        """The marks of what the broker has acknowledged."""
        return [mark(number) for number, mid in enumerate(self._sent) if mid in self._answered]

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            number = len(self._sent)
            payload = _KINDS[number % len(_KINDS)](self, mark(number))
            self._sent.append(self._client.publish(self._topic, payload, qos=1).mid)

    def _payload(self, text: str, **changes: Any) -> bytes:
        """A window as it should be, but for the changes; the mark comes first."""
        head = {"mark": text, "schema": "edge-agender.window", "version": 1, "device": self._name, "boot_id": "b"}
        numbers = {"sequence": 0, "historical": False, "number": 0, "start": utc_text(time.time()), "length_s": 60}
        return json.dumps(head | numbers | self._window | {"versions": {}} | changes).encode()


_KINDS: tuple[Callable[[Poison, str], bytes], ...] = (
    lambda _, text: text.encode() + b"\xff\xfe\x00",
    lambda poison, text: poison._payload(text)[:200],
    lambda _, text: f'["{text}",'.encode() + b"[" * 50_000,
    lambda _, text: json.dumps({"mark": text, "device": "poison"}).encode(),
    lambda poison, text: poison._payload(text, device="lobby"),
    lambda poison, text: poison._payload(text, covered_s=float("nan")),
    lambda poison, text: poison._payload(text, viewers=10**400),
    lambda poison, text: poison._payload(text, boot_id="\ud800\x00"),
    lambda poison, text: poison._payload(text, number=2**70),
    lambda poison, text: poison._payload(text, start="2026-13-45T99:00:00Z"),
    lambda poison, text: poison._payload(text, viewers=-1),
    lambda _, text: text.encode() + b"9" * MAX_BYTES,
)
