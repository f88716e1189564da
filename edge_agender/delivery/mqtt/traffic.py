"""What outlives a single connection: counters, subscriptions, what was complained of, and how to wake the thread."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from edge_agender.common.once import Once

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    topic: str
    handler: Callable[[str, bytes], None]
    max_bytes: int


@dataclass(slots=True)
class Traffic:
    """Counters. `unheard`: commands that were too large or that nobody could use. `short_lived`: how many connections
    in a row were accepted and ended at once, with the present one.

    `status_changed`: the status is to be said again. `goodbye`: a stop is meant, so that the last status is `stopped`.

    `cautious`: the connection before ended soon, with messages unanswered. It may have been for one of them, so they
    go one at a time: Mosquitto 2.0.11 (Debian bookworm) hangs up after it refused an MQTT 5 message, and what else was
    on its way makes the kernel throw the refusal away.
    """

    sent: int = 0
    acknowledged: int = 0
    unheard: int = 0
    cautious: bool = False
    status_changed: bool = False
    goodbye: bool = True
    once: Once = field(default_factory=lambda: Once(_log))
    short_lived: int = 0


class Wake:
    """Ends a wait of the publisher's thread from any other."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def set(self) -> None:
        with suppress(OSError):
            self._writer.send(b"\0")

    def clear(self) -> None:
        with suppress(OSError):
            self._reader.recv(4096)
