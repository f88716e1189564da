"""Every process that a test starts ends with that test, and with the test run, however either ends.

Orphans of a test come back to the test run (PR_SET_CHILD_SUBREAPER), so that none is overlooked. Should the run itself
be killed, a process that waits for nothing else ends all that carry its mark in their environment.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

PR_SET_CHILD_SUBREAPER = 36
MARK = "PYTEST_RUN_OF_EDGE_AGENDER"
# So long may a process that was told to end take for it.
GRACE_S = 10.0

_UNDERTAKER = """
import os, signal, sys
sys.stdin.buffer.read()  # until the test run is gone, whatever became of it
mark = sys.argv[1].encode()
for _ in range(3):  # what forks meanwhile is found the next time
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read().split(b"\\0"):
                    os.kill(int(name), signal.SIGKILL)
        except OSError:
            pass
"""


class Undertaker:
    """Ends what the test run leaves behind, once the run has ended; `close` does so early."""

    def __init__(self) -> None:
        self.mark = f"{MARK}={uuid.uuid4().hex}"
        bare = {name: value for name, value in os.environ.items() if name != MARK}
        name, _, value = self.mark.partition("=")
        os.environ[name] = value
        words = [sys.executable, "-I", "-S", "-c", _UNDERTAKER, self.mark]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, env=bare, start_new_session=True)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        stdin: IO[bytes] | None = self._process.stdin
        if stdin is not None:
            stdin.close()
        self._process.wait()


def children() -> set[int]:
    """Return the ids of this process's children, those that ended and were not waited for too.

    From the kernel's own list: psutil reads all of /proc for it, before and after each of thousands of tests.
    """
    try:
        lists = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
    except OSError:  # a thread has just ended, or a kernel without that list
        return {child.pid for child in psutil.Process().children()}
    return {int(word) for line in lists for word in line.split()}


def descendants(but: set[int]) -> list[psutil.Process]:
    """Return the living processes below this one, without those in `but` and what they started."""
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if child.pid not in but and child.status() != psutil.STATUS_ZOMBIE:
                found += [child, *child.children(recursive=True)]
    return found


def end_those_left(but: set[int]) -> list[str]:
    """Give what a test left a moment to end, kill the rest, and return the command lines of those killed."""
    if children() <= but:
        return []
    _, alive = psutil.wait_procs(descendants(but), timeout=GRACE_S)
    left: list[str] = []
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            left.append(" ".join(process.cmdline())[:200] or process.name())
            process.kill()
    psutil.wait_procs(alive, timeout=GRACE_S)
    _reap(but)
    return left


def _reap(but: set[int]) -> None:
    """Orphans that ended are this process's to wait for."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.pid not in but and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
