"""The daemon as it runs in the shop: a process of the real command, and what a subscriber hears of it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edge_agender.daemon.changes import REFUSED
from tests.support.broker import Ear, wait_until
from tests.support.message_check import check

SOURCE = ["source.kind=demo", "source.width_px=640", "source.height_px=480"]
BOX = ["device.name=box", "web.enabled=false"]
DEMO = [*SOURCE, *BOX]


# `edge-agender`, but with a minute instead of a second for its last words: they are the point here, and this machine
# may be busy.
PATIENT = (
    "from edge_agender.delivery.mqtt import publisher, session; from edge_agender.cli import main;"
    "publisher.STOP_S = session.STOP_S = 60.0; raise SystemExit(main())"
)


class Daemon:
    """The real command, its state below `state`."""

    def __init__(self, words: list[str], log: IO[str]) -> None:
        self._log = Path(log.name)
        self.process = subprocess.Popen(words, stderr=log)

    def log(self) -> str:
        return self._log.read_text()

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def wait(self) -> int:
        """Return its exit code."""
        return self.process.wait(600)


@contextmanager
def daemon(
    state: Path,
    port: int,
    *options: str,
    arguments: tuple[str, ...] = (),
    patient: bool = True,
    code: str = PATIENT,
    source: Sequence[str] = SOURCE,
) -> Iterator[Daemon]:
    """A running daemon, killed at the end where it still runs. `code`: what Python runs, where it is patient."""
    settings = [*source, *BOX, f"mqtt.port={port}", f"outbox.path={state}", "schedule.off_file=null", *options]
    words = [sys.executable, *(["-c", code] if patient else ["-m", "edge_agender"]), "run", *arguments]
    for option in settings:
        words += ["--set", option]
    with tempfile.NamedTemporaryFile("w", prefix="daemon", suffix=".log") as log:
        running = Daemon(words, log)  # type: ignore[arg-type]
        try:
            yield running
        finally:
            running.process.kill()
            running.process.wait()


def payloads(ear: Ear, kind: str) -> list[dict[str, object]]:
    return [check(message.payload) for message in list(ear.heard) if message.topic == f"edge-agender/box/{kind}"]


def states(ear: Ear) -> list[object]:
    return [payload["state"] for payload in payloads(ear, "status")]


def refused(ear: Ear) -> bool:
    """Whether the latest health says that a new configuration was refused."""
    return any(REFUSED in health["alarms"] for health in payloads(ear, "health")[-1:])  # type: ignore[operator]


def wait_quiet(ear: Ear, kind: str, quiet_s: float = 1.5) -> None:
    """Return once nothing of a kind that came many times a second has come for so long."""
    count, since_s = -1, 0.0

    def quiet() -> bool:
        nonlocal count, since_s
        if len(payloads(ear, kind)) != count:
            count, since_s = len(payloads(ear, kind)), time.monotonic()
        return time.monotonic() - since_s > quiet_s

    wait_until(quiet, what=f"no {kind} any more")
