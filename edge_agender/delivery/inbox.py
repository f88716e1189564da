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
from edge_agender.common.once import Once
from edge_agender.messages.discovery import BIRTH
from edge_agender.messages.inbound import Resend, parse_content, parse_enabled, parse_resend

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Announce:
    """Home Assistant has started: it wants to hear again which devices there are."""


Command: TypeAlias = bool | Content | Announce  # enabled or not; what the sign shows; announce the device again
# A player tells of new content a few times a minute: more than this at once is a fault or an attack.
MOST_WAITING = 32
# A camera takes a second to open: whoever switches faster than this is obeyed with the last word only.
SWITCH_EVERY_S = 1.0
# To take a configuration over may mean to open networks anew.
DESIRED_EVERY_S = 5.0
# Each command may bring back some hundred messages.
RESEND_EVERY_S = 5.0


class Resends:
    """Hands what is to be sent again on to the outbox: one command in RESEND_EVERY_S, whoever asks."""

    def __init__(self, send_again: Callable[[Resend], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._send_again, self._clock = send_again, clock
        self._next_s = float("-inf")

    def take(self, topic: str, payload: bytes) -> None:
        if self._clock() < self._next_s:
            log.debug("%s: more than one command in %.0f s: dropped", topic, RESEND_EVERY_S)
            return
        try:
            wanted = parse_resend(payload)
        except ValueError as error:
            log.warning("%s: %s", topic, error)
            return
        finally:
            self._next_s = self._clock() + RESEND_EVERY_S
        self._send_again(wanted)


class Inbox:
    """Parses what arrives and keeps it until the main loop asks. What cannot be parsed is one warning a kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._switched_s = clock, float("-inf")
        self._waiting: queue.Queue[Command] = queue.Queue(MOST_WAITING)
        # Apart from the rest, and the latest wins: no flood of content may drown an order to switch off.
        self._enabled: deque[bool] = deque(maxlen=1)
        self._desired: deque[bytes] = deque(maxlen=1)
        self._configured_s = float("-inf")
        self._once = Once(log)

    def enabled(self, topic: str, payload: bytes) -> None:
        try:
            self._enabled.append(parse_enabled(payload))
        except ValueError as error:
            self._once.warn(f"{topic}: {error}", about=topic)

    def content(self, topic: str, payload: bytes) -> None:
        self._take(topic, payload, parse_content)

    def desired(self, _topic: str, payload: bytes) -> None:
        """What is wrong with it is reported, not warned of here: the latest waits as it came."""
        self._desired.append(payload)

    def take_desired(self) -> bytes | None:
        """Return the latest configuration from afar that has come, one in DESIRED_EVERY_S; None where none is due."""
        now_s = self._clock()
        if not self._desired or now_s - self._configured_s < DESIRED_EVERY_S:
            return None
        self._configured_s = now_s
        return self._desired.popleft()

    def birth(self, topic: str, payload: bytes) -> None:
        if payload == BIRTH:
            self._take(topic, payload, lambda _: Announce())

    def drain(self) -> list[Command]:
        """Return what has come since the last call: an order to switch, one a second, then the rest, oldest first."""
        commands: list[Command] = []
        if self._enabled and (now_s := self._clock()) - self._switched_s >= SWITCH_EVERY_S:
            self._switched_s = now_s
            commands.append(self._enabled.popleft())
        while True:
            try:
                commands.append(self._waiting.get_nowait())
            except queue.Empty:
                return commands

    def _take(self, topic: str, payload: bytes, parse: Callable[[bytes], Command]) -> None:
        try:
            self._waiting.put_nowait(parse(payload))
        except ValueError as error:
            self._once.warn(f"{topic}: {error}", about=topic)
        except queue.Full:
            self._once.warn(f"{topic}: more than {MOST_WAITING} commands at once: the rest is dropped", about=topic)
