"""Which pages of libraries stay resident: most of their code runs once, while the process starts.

The kernel keeps every page that was ever touched in a process's share, and a locked one in memory for good. What is
still needed comes back by a page fault, from the page cache; what is not is the kernel's to use. Linux only.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MADV_DONTNEED = 4  # sys/mman.h


class Area(NamedTuple):
    """Addresses of this process's memory, in bytes."""

    start: int
    length: int


def drop_start_up_code() -> int:
    """Let go of the pages of mapped files that nobody wrote to; return how many bytes of address space they span.

    Nothing can be lost: such a page is the file's, byte for byte, and is read again when it is next touched. 0 where
    /proc or madvise is missing.
    """
    try:
        libc = ctypes.CDLL(None)
        return sum(area.length for area in list(_untouched_files()) if _drop(libc, area))
    except (AttributeError, OSError):
        return 0


def _drop(libc: ctypes.CDLL, area: Area) -> bool:
    where, length = ctypes.c_void_p(area.start), ctypes.c_size_t(area.length)
    # Memory is locked to keep pictures from the swap; code needs no lock, and locked pages cannot be dropped.
    libc.munlock(where, length)
    return bool(libc.madvise(where, length, _MADV_DONTNEED) == 0)


def _untouched_files() -> Iterator[Area]:
    """Areas that map a file, cannot be written to, and hold no page of their own: no relocated one, for example."""
    area: Area | None = None
    for line in Path("/proc/self/smaps").read_text(errors="replace").splitlines():
        name, *rest = line.split(maxsplit=5)
        if not name.endswith(":"):
            low, _, high = name.partition("-")
            read_only_file = rest[0].startswith("r-") and len(rest) == 5 and rest[4].startswith("/")
            area = Area(int(low, 16), int(high, 16) - int(low, 16)) if read_only_file else None
        elif name == "Anonymous:" and rest[0] == "0" and area is not None:
            yield area
