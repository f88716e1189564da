"""A command on a pseudo-terminal, typed at by a test."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT


class Typist:
    """`seen` is all that the command wrote so far."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor, self._process = descriptor, process
        self.seen = ""
        self._from = 0

    def wait_for(self, pattern: str, timeout_s: float = 120.0) -> str:
        """Return once the pattern is seen after what was waited for before."""
        until_s = time.monotonic() + timeout_s
        while not (found := re.compile(pattern).search(self.seen, self._from)):
            assert time.monotonic() < until_s, f"no {pattern!r} after:\n{self.seen[self._from :]}"
            assert self._read(), f"ended without {pattern!r}:\n{self.seen}"
        self._from = found.end()
        return found.group()

    def type(self, text: str) -> None:
        self.type_bytes(text.encode())

    def press(self, key: str) -> None:
        """Type Ctrl-C or Ctrl-D once the command reads: no person is quick enough to press it before."""
        until_s = time.monotonic() + 60.0
        stat = Path(f"/proc/{self._process.pid}/stat")
        while stat.read_text().rpartition(") ")[2][0] != "S":
            assert time.monotonic() < until_s, f"it does not wait for input after:\n{self.seen}"
            time.sleep(0.01)
        self.type(key)

    def type_bytes(self, raw: bytes) -> None:
        os.write(self._descriptor, raw)

    def answer(self, question: str, text: str) -> None:
        self.wait_for(question + r"[^:]*\n.*\n.*: ")
        self.type(text + "\n")

    def resize(self, columns: int, rows: int) -> None:
        _resize(self._descriptor, columns, rows)

    def end(self, timeout_s: float = 120.0) -> int:
        """Return the exit code once the command has ended."""
        until_s = time.monotonic() + timeout_s
        while self._read():
            assert time.monotonic() < until_s, f"still running after:\n{self.seen[-2000:]}"
        return self._process.wait(timeout_s)

    def _read(self) -> bool:
        """Take in what is there within a moment; False once the command has closed its terminal."""
        if not select.select([self._descriptor], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


def _resize(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def typing(
    *words: str, environment: Mapping[str, str] | None = None, columns: int = 100, rows: int = 30
) -> Iterator[Typist]:
    """Run edge-agender with these words on a terminal of its own."""
    ours, theirs = pty.openpty()
    _resize(ours, columns, rows)
    # Not pty.fork(): a process with threads (the test's broker client) must not run Python between fork and exec.
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "edge_agender", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm", **(environment or {})},
    )
    os.close(theirs)
    typist = Typist(ours, process)
    try:
        yield typist
    finally:
        process.kill()
        process.wait()
        os.close(ours)
