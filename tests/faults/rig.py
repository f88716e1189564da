"""Sender processes, the ledger of what they were told is safe, and a proxy that is a bad network."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.broker import Ear, wait_until

SENDER = Path(__file__).with_name("sender.py")
TOPIC = "p/d/window"


class Ledger:
    """Expected: every message whose `put` returned. Messages are told apart by boot id and sequence."""

    def __init__(self) -> None:
        self.expected: set[tuple[str, int]] = set()

    def lost(self, ear: Ear) -> set[tuple[str, int]]:
        return self.expected - set(delivered(ear))

    def report(self, fault: str, ear: Ear, **figures: Any) -> None:
        """Assert that nothing is lost and that each boot came in order; say what it cost."""
        heard = delivered(ear)
        lost = self.lost(ear)
        result = {"fault": fault, "expected": len(self.expected), "delivered": len(self.expected) - len(lost)}
        result |= {"duplicated": len(heard) - len(set(heard)), "lost": len(lost)} | figures
        say(result)
        assert not lost, f"{fault}: lost {sorted(lost)[:10]}"
        for boot in {boot for boot, _ in heard}:
            first = list(dict.fromkeys(sequence for name, sequence in heard if name == boot))
            assert first == sorted(first), f"{fault}: out of order"


def say(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    if path := os.environ.get("FAULTS_REPORT"):
        with Path(path).open("a") as file:
            file.write(json.dumps(result) + "\n")


def delivered(ear: Ear) -> list[tuple[str, int]]:
    return [(payload["boot_id"], payload["sequence"]) for payload in ear.payloads(TOPIC)]


class Sender:
    """One sender process; what it printed goes into the ledger. `before` is put before its command line."""

    def __init__(self, ledger: Ledger, boot: str, port: int, state: Path, before: Sequence[str] = (), **options: Any):
        self._ledger, self._boot = ledger, boot
        mqtt = {"host": "127.0.0.1", "port": port, "reconnect_min_s": 0.1, "reconnect_max_s": 0.5, "keepalive_s": 5}
        outbox = {"path": str(state), "replay_rate_hz": 5000, "historical_after_s": 1}
        changes = {"mqtt": mqtt | options.pop("mqtt", {}), "outbox": outbox | options.pop("outbox", {})}
        text = json.dumps({"boot": boot, **changes, **options})
        self.errors = (state.parent / f"{boot}.log").open("ab")
        self.process = subprocess.Popen(
            [*before, sys.executable, str(SENDER), text], stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self.puts = 0
        self.state: tuple[int, int, str | None] | None = None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, rest = line.partition(" ")
            if word == "put" and line.endswith("\n"):
                self._ledger.expected.add((self._boot, int(rest)))
                self.puts += 1
            elif word == "state":
                self.state = tuple(json.loads(rest))

    def wait_puts(self, count: int) -> None:
        wait_until(lambda: self.puts >= count or self.process.poll() is not None, 120, f"{count} puts")
        assert self.process.poll() is None, f"the sender ended; see {self.errors.name}"

    def wait_empty(self, timeout_s: float = 120) -> None:
        """Return once it has put everything and nothing waits any more."""
        wait_until(lambda: self.state is not None and self.state[0] == 0, timeout_s, "an empty outbox")

    def end(self, number: int = signal.SIGTERM) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join()
        self.errors.close()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end()


class BadNetwork:
    """A TCP proxy to a port on loopback: slow, silent, cutting connections, or not there at all."""

    def __init__(self, target: int, delay_s: float = 0.0, bytes_per_s: float | None = None) -> None:
        self._target, self.delay_s, self.bytes_per_s = target, delay_s, bytes_per_s
        self.silent = threading.Event()
        self.gone = threading.Event()
        self._links: list[tuple[socket.socket, socket.socket]] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.cuts = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self.gone.is_set():
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)  # that was for connecting: a quiet connection is none that ended
            self._links.append((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                while self.silent.is_set():
                    time.sleep(0.02)
                time.sleep(self.delay_s + (len(data) / self.bytes_per_s if self.bytes_per_s else 0))
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End every connection at once, mid-packet for all anybody knows."""
        links, self._links = self._links, []
        for link in links:
            self.cuts += 1
            for end in link:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    end.shutdown(socket.SHUT_RDWR)
                    end.close()

    def __enter__(self) -> BadNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        self.silent.clear()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        self.cut()


def finish(fault: str, ledger: Ledger, ear: Ear, sender: Sender, **figures: object) -> None:
    """Wait until everything put has been sent and heard, then report."""
    sender.wait_empty()
    wait_until(lambda: not ledger.lost(ear), what="the ear")
    assert sender.state is not None
    assert sender.state[1:] == (0, None)
    ledger.report(fault, ear, **figures)


def pause(random_numbers: random.Random, low_s: float, high_s: float) -> None:
    time.sleep(random_numbers.uniform(low_s, high_s))
