"""The supervisor's side channel: sd_notify(3) datagrams and credentials (systemd.exec(5)), standard library only."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

# systemd wants the watchdog fed at least once a period; a quarter leaves room for a slow frame or two.
FEEDS_PER_PERIOD = 4
# A busy systemd leaves its socket full for a moment: ten datagrams are enough (net.unix.max_dgram_qlen).
PATIENCE_S = 1.0
# A reload and a stop together; of more than that only the last count.
UNHEARD = 4


class Notifier:
    """Tells the supervisor how the service is doing; every method is silent and harmless where there is none.

    No method raises or blocks for long: a supervisor that is away must not stop the counting.
    """

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        """`address` is a path, or an abstract name that starts with "@"; None means that nobody listens."""
        self.watchdog_s = watchdog_s
        self._last_fed_s: float | None = None
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        # What systemd waits for and could not take yet: READY=1 unheard is a start that fails.
        self._unheard: deque[str] = deque(maxlen=UNHEARD)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier:
        """Return the Notifier that $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID describe."""
        return cls(environment.get("NOTIFY_SOCKET") or None, _watchdog_period_s(environment))

    @property
    def active(self) -> bool:
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """Say that starting, or a reload, is complete. The watchdog's first period begins now."""
        self._insist("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        self._send(*_status(text))

    def fresh_frame(self, now_s: float) -> None:
        """Feed the watchdog, when it is due. Call it for each new frame that was processed, and never from a timer."""
        self._deliver(0.0)
        if self.watchdog_s is None:
            return
        if self._last_fed_s is None or now_s - self._last_fed_s >= self.watchdog_s / FEEDS_PER_PERIOD:
            self._last_fed_s = now_s
            self._send("WATCHDOG=1")

    def reloading(self, status: str = "") -> None:
        """Say that a new configuration is being read; follow it with ready()."""
        self._insist("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", *_status(status))

    def stopping(self, status: str = "") -> None:
        """Say that the service is on its way out."""
        self._insist("STOPPING=1", *_status(status))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _insist(self, *assignments: str) -> None:
        """Send what a supervisor waits for; where its socket stays full, before the next notice."""
        self._unheard.append("\n".join(assignments))
        self._deliver(PATIENCE_S)

    def _send(self, *assignments: str) -> None:
        """Send what may get lost."""
        if assignments and self._deliver(0.0):
            self._put("\n".join(assignments), 0.0)

    def _deliver(self, patience_s: float) -> bool:
        """Return whether nothing is left unheard."""
        while self._unheard and self._put(self._unheard[0], patience_s):
            self._unheard.popleft()
        return not self._unheard

    def _put(self, text: str, patience_s: float) -> bool:
        """Return False where the socket stayed full for `patience_s`; whoever is gone needs no second try."""
        if self._socket is None or self._address is None:
            return True
        self._socket.settimeout(patience_s)
        try:
            # Connected, so that the kernel knows whose room is waited for: otherwise it always says that there is some.
            self._socket.connect(self._address)
            self._socket.send(text.encode())
        except (BlockingIOError, TimeoutError):
            logger.debug("the supervisor's socket is full")
            return False
        except OSError as error:
            logger.debug("the supervisor's socket does not answer: %s", error)
        return True


def passes_credentials(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether systemd hands secrets to this process itself."""
    return "CREDENTIALS_DIRECTORY" in environment


def credential(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of a systemd credential (LoadCredential=), or None where it was not passed."""
    directory = environment.get("CREDENTIALS_DIRECTORY")
    path = Path(directory, name) if directory else None
    return path if path and path.is_file() else None


def _watchdog_period_s(environment: Mapping[str, str]) -> float | None:
    """The period in seconds, or None without a watchdog, or with one that is meant for another process."""
    pid = environment.get("WATCHDOG_PID")
    if pid and pid != str(os.getpid()):
        return None
    try:
        period_s = int(environment.get("WATCHDOG_USEC", "")) / 1e6
    except ValueError:
        return None
    return period_s if period_s > 0 else None


def _status(text: str) -> tuple[str, ...]:
    """STATUS= is one line: a line break in it would begin another assignment."""
    return ("STATUS=" + " ".join(text.split()),) if text else ()
