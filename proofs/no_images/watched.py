"""Runs the daemon under strace, with a broker and a reader of its status page, and collects what leaves it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from examples.demo import amqtt, find_mosquitto, free_port, mosquitto, wait_for_port
from proofs.no_images import trace
from proofs.no_images.memory import Check, process_checks

# A daemon that is traced, on a machine that does much else.
START_S, STOP_S = 600.0, 120.0
# What it logs once it has closed its memory and listens to signals.
AT_WORK = b"connected to broker"


@dataclass(slots=True)
class Watched:
    """One run: what left it, how the process looked from outside, its output and exit code."""

    escaped: trace.Escaped
    exit_code: int
    output: str
    pages: int
    home: Path
    checks: list[Check] = field(default_factory=list)


def watch(source: str, home: Path, *, seconds: float | None = None, planted: bool = False) -> Watched:
    """Run the daemon on `source` to its end, or for so many seconds; it may write below `home` only."""
    state, web_port, port = home / "state", free_port(), free_port()
    state.mkdir(parents=True)
    program = ["proofs.no_images.planted", str(state)] if planted else ["edge_agender"]
    with _broker(port):
        command = [sys.executable, "-m", *program, *_arguments(source, state, port, web_port, loop=seconds is not None)]
        process = trace.start(command, home / "trace", _root(), _environment(home))
        output = _Reader(process)
        reader = _PageReader(web_port)
        checks = _look(process, output, seconds)
        process.wait(STOP_S)
        reader.stop()
    return Watched(trace.collect(home / "trace"), process.returncode, output.text(), reader.pages, home, checks)


def files_left(home: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file that the daemon left behind, whoever wrote it."""
    for path in sorted(home.rglob("*")):
        if path.is_file() and "trace" not in path.relative_to(home).parts:
            yield f"file {path.relative_to(home)}", path.read_bytes()


def _root() -> Path:
    return Path(__file__).parents[2]


def _arguments(source: str, state: Path, port: int, web_port: int, *, loop: bool) -> list[str]:
    options = [
        "device.name=proof",
        "source.width_px=640",
        "source.height_px=480",
        "source.demo.people=4",
        # A few pictures, a moment apart: search each, and wait for nobody to be seen twice, or surely.
        "detector.score_threshold=0.4",
        "tracking.min_hits=1",
        "gating.motion=false",
        "gating.cadence=false",
        "mqtt.host=127.0.0.1",
        f"mqtt.port={port}",
        f"mqtt.protocol={'5' if find_mosquitto() else '3.1.1'}",
        f"outbox.path={state}",
        "outbox.frames_durable=true",
        "publish.health_s=1",
        f"web.port={web_port}",
        "log.level=debug",
    ]
    end = [] if loop else ["--until-end"]
    return ["run", "--source", source, *end, *(word for option in options for word in ("--set", option))]


def _environment(home: Path) -> dict[str, str]:
    """Every place that a program likes to write to lies below `home`."""
    places = {name: str(home / "home") for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME")}
    (home / "home").mkdir()
    return {**os.environ, **places, "PYTHONDONTWRITEBYTECODE": "1"}


def _broker(port: int) -> contextlib.AbstractContextManager[None]:
    program = find_mosquitto()
    return _started(mosquitto(program, port) if program else amqtt(port), port)


@contextlib.contextmanager
def _started(broker: contextlib.AbstractContextManager[None], port: int) -> Iterator[None]:
    with broker:
        wait_for_port(port)
        yield


def _look(process: subprocess.Popen[bytes], output: _Reader, seconds: float | None) -> list[Check]:
    """Look at the daemon while it is at work and, where it would not end by itself, stop it after so many seconds."""
    daemon, checks, at_work = None, list[Check](), False
    until_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until_s:
        if not at_work and output.has(AT_WORK):
            at_work, until_s = True, time.monotonic() + (seconds or START_S)
        # Anew each time: the first children of strace are its own, to find out what the kernel can do.
        daemon = _daemon_of(process.pid) or daemon
        with contextlib.suppress(OSError, KeyError, StopIteration):
            checks = list(process_checks(daemon)) if daemon and at_work else []
        time.sleep(0.1)
    if process.poll() is None and daemon:
        os.kill(daemon, signal.SIGTERM)
    return checks


def _daemon_of(strace: int) -> int | None:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{strace}/task/{strace}/children").read_text().split()
        return int(children[0]) if children else None
    return None


class _Reader:
    """Keeps reading a process's output, so that it never waits for us."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._parts: list[bytes] = []
        self._process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._parts.append(line)

    def has(self, words: bytes) -> bool:
        """Whether a line so far has these words."""
        return any(words in line for line in self._parts)

    def text(self) -> str:
        self._thread.join(STOP_S)
        return b"".join(self._parts).decode("utf-8", "replace")


class _PageReader:
    """Asks the status page for everything that it has, again and again: what it answers leaves the daemon too."""

    PATHS: Sequence[str] = ("/", "/status.json", "/metrics", "/healthz", "/events")

    def __init__(self, port: int) -> None:
        self.pages = 0
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            for path in self.PATHS:
                with contextlib.suppress(OSError, urllib.error.URLError):
                    with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=1) as answer:
                        answer.read(1 << 16)
                    self.pages += 1
