"""Closes the ways by which memory, and a picture in it, could reach a disk: core dumps, ptrace, swap.

The unit closes them from outside; this closes them wherever the daemon runs. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import resource
from dataclasses import dataclass
from pathlib import Path

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Closed:
    """What holds for this process now; `memory_locked` is False where the limit (LimitMEMLOCK=) is too low for it."""

    core_dumps: bool
    foreign_readers: bool
    swap: bool
    memory_locked: bool


def harden_process() -> Closed:
    """Forbid core dumps and readers of our memory, lock it against swap where that is allowed; say what holds."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _lock_memory(libc)
    return inspect(libc)


def inspect(libc: ctypes.CDLL | None = None) -> Closed:
    """Return what holds for this process, without changing anything."""
    libc = libc or ctypes.CDLL(None, use_errno=True)
    status = _status()
    locked = int(status.get("VmLck", "0 kB").split()[0]) > 0
    return Closed(
        core_dumps=resource.getrlimit(resource.RLIMIT_CORE)[0] == 0,
        foreign_readers=libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
        swap=locked or not _swap_exists(),
        memory_locked=locked,
    )


def _lock_memory(libc: ctypes.CDLL) -> None:
    """Lock pages once they are touched. Only without a limit: below one, later allocations would fail."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)


def _swap_exists() -> bool:
    try:
        return len(Path("/proc/swaps").read_text().splitlines()) > 1
    except OSError:
        return True


def _status() -> dict[str, str]:
    lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
