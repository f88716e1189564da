"""The other ways out: core dumps, readers of memory, swap, and what the unit closes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

UNIT = Path(__file__).parents[2] / "systemd" / "edge-agender.service"

# What the unit must say, and why.
UNIT_CLOSES = {
    "LimitCORE=0": "no core dump",
    "MemorySwapMax=0": "no swap, where the kernel has a memory controller",
    "LimitMEMLOCK=infinity": "the daemon may lock its memory against swap",
    "PrivateTmp=yes": "/tmp and /var/tmp are its own, and are deleted when it stops",
    "InaccessiblePaths=/dev/shm": "no shared memory",
    "ProtectSystem=strict": "the file system is read-only, but for its state directory",
    "ProtectHome=yes": "no home directories",
    "WatchdogSignal=SIGKILL": "a stuck daemon is killed without a core dump",
    "UMask=0077": "what it writes is its own",
}


class Check(NamedTuple):
    name: str
    passed: bool
    detail: str


def process_checks(pid: int) -> Iterator[Check]:
    """Look at a running daemon from outside."""
    process = Path(f"/proc/{pid}")
    limits = (process / "limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4]
    yield Check("core dumps", core == "0", f"the limit for core files is {core}")
    owner = (process / "mem").stat().st_uid
    yield Check("readers of its memory", owner == 0, "only root may read its memory" if owner == 0 else "not closed")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    swapped = status["VmSwap"].split()[0]
    locked = status["VmLck"].split()[0]
    yield Check("swap", swapped == "0", f"{swapped} kB swapped out, {locked} kB locked in memory")


def unit_checks(unit: Path = UNIT) -> Iterator[Check]:
    """Look at what the unit closes; tests/real_systemd shows that systemd enforces it."""
    lines = unit.read_text().splitlines()
    for line, why in UNIT_CLOSES.items():
        yield Check(f"unit: {line}", line in lines, why)
