"""How much memory the process keeps: glibc's heaps, and the pages of libraries whose code runs once, while it starts.

Without a bound every thread gets a heap of its own, and each keeps its holes for ever. The kernel keeps every page that
was ever touched in a process's share, and a locked one in memory for good. What is still needed comes back by a page
fault, from the page cache; what is not is the kernel's to use. Linux only.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_M_ARENA_MAX = -8  # malloc.h
# sys/mman.h, the same on every architecture that we run on.
_MADV_DONTNEED = 4
_MLOCK_ONFAULT = 1
_MAPS = "r--p", "r-xp"


class Area(NamedTuple):
    """Part of a library in this process's memory: addresses in bytes, and whether it is locked there."""

    start: int
    length: int
    locked: bool


def library_areas() -> list[Area]:
    """Return the areas of the loaded libraries that hold their files' bytes and nothing else.

    Ask before the first thread starts: a library that another one is just loading has areas that look so and are about
    to be written to. What is loaded then stays where it is. Empty where /proc does not tell.
    """
    try:
        return list(_unwritten(Path("/proc/self/smaps").read_text(errors="replace")))
    except OSError:
        return []


def evict_library_pages(areas: Sequence[Area]) -> int:
    """Let go of the pages of what library_areas told; return how many bytes of address space they span.

    Nothing can be lost: such a page is the file's, byte for byte, and is read again when it is next touched.
    """
    try:
        libc = ctypes.CDLL(None)
        return sum(area.length for area in areas if _drop(libc, area))
    except (AttributeError, OSError):
        return 0


def _drop(libc: ctypes.CDLL, area: Area) -> bool:
    where, length = ctypes.c_void_p(area.start), ctypes.c_size_t(area.length)
    # Locked pages cannot be dropped. What is touched from now on is locked again, as everything was before.
    if area.locked:
        libc.munlock(where, length)
    dropped = libc.madvise(where, length, _MADV_DONTNEED) == 0
    if area.locked:
        libc.mlock2(where, length, _MLOCK_ONFAULT)
    return bool(dropped)


def _unwritten(smaps: str) -> Iterator[Area]:
    """Areas of libraries that cannot be written to and have no page of their own, a relocated one for example."""
    for start, length, figures in _library_maps(smaps):
        # An emulator that tells no figures tells no resident pages either.
        if figures.get("Rss", 0) > 0 and figures.get("Anonymous") == 0:
            yield Area(start, length, figures.get("Locked", 0) > 0)


def _library_maps(smaps: str) -> Iterator[tuple[int, int, dict[str, int]]]:
    """Start, length and figures in kB of each area that maps a library and can only be read."""
    wanted: tuple[int, int, dict[str, int]] | None = None
    for line in smaps.splitlines():
        name, *rest = line.split(maxsplit=5)
        if not name.endswith(":"):
            if wanted:
                yield wanted
            low, high = (int(address, 16) for address in name.split("-"))
            library = rest[0] in _MAPS and len(rest) == 5 and ".so" in rest[4]
            wanted = (low, high - low, {}) if library else None
        elif wanted and len(rest) == 2:
            wanted[2][name[:-1]] = int(rest[0])
    if wanted:
        yield wanted


def limit_malloc_arenas() -> bool:
    """Let all threads allocate from one heap; False where the C library is another. Call it before threads start.

    The rest is glibc's own: it learns how large the pictures are and takes them from the heap again and again, where
    pages of their own would cost the kernel a thousand faults a frame.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1) == 1)
    except (AttributeError, OSError):
        return False


def trim_heap() -> None:
    """Collect what starting up left behind and return its pages; what stays is not looked through again."""
    gc.collect()
    gc.freeze()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
