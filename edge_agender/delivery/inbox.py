"""What the broker tells us: handed from the publisher's thread to the main loop, bounded in number and rate."""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from edge_agender.audience.measures import Content
from edge_agender.messages.discovery import BIRTH
from edge_agender.messages.inbound import parse_content, parse_enabled

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Announce:
    """Home Assistant has started: it wants to hear again which devices there are."""


Order: TypeAlias = bool | Content | Announce  # enabled or not; what the sign shows; announce the device again
# A player tells of new content a few times a minute: more than this at once is a fault or an attack.
MOST_WAITING = 32
# A camera takes a second to open: whoever switches faster than this is obeyed with the last word only.
SWITCH_EVERY_S = 1.0


class Orders:
    """Parses what arrives and keeps it until the main loop asks. What cannot be parsed is one warning a kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._switched_s = clock, float("-inf")
        self._waiting: queue.Queue[Order] = queue.Queue(MOST_WAITING)
        # Apart from the rest, and the latest wins: no flood of content may drown an order to switch off.
        self._enabled: deque[bool] = deque(maxlen=1)
        self._complained: set[str] = set()

    def enabled(self, topic: str, payload: bytes) -> None:
        try:
            self._enabled.append(parse_enabled(payload))
        except ValueError as error:
            self._complain(topic, f"{topic}: {error}")

    def content(self, topic: str, payload: bytes) -> None:
        self._take(topic, payload, parse_content)

    def birth(self, topic: str, payload: bytes) -> None:
        if payload == BIRTH:
            self._take(topic, payload, lambda _: Announce())

    def drain(self) -> list[Order]:
        """Return what has come since the last call: an order to switch, one a second, then the rest, oldest first."""
        orders: list[Order] = []
        if self._enabled and (now_s := self._clock()) - self._switched_s >= SWITCH_EVERY_S:
            self._switched_s = now_s
            orders.append(self._enabled.popleft())
        while True:
            try:
                orders.append(self._waiting.get_nowait())
            except queue.Empty:
                return orders

    def _take(self, topic: str, payload: bytes, parse: Callable[[bytes], Order]) -> None:
        try:
            self._waiting.put_nowait(parse(payload))
        except ValueError as error:
            self._complain(topic, f"{topic}: {error}")
        except queue.Full:
            self._complain(topic, f"{topic}: more than {MOST_WAITING} commands at once: the rest is dropped")

    def _complain(self, topic: str, text: str) -> None:
        log.log(logging.DEBUG if topic in self._complained else logging.WARNING, "%s", text)
        self._complained.add(topic)
