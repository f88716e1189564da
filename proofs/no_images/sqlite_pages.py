"""SQLite's files, without what their pages hold beside the rows (https://www.sqlite.org/fileformat2.html)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_DATABASE = b"SQLite format 3\0"
_LOG = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_LOG_HEADER, _FRAME_HEADER, _FIRST_PAGE = 32, 24, 100
# Kind of a B-tree page: bytes of its header.
_HEADERS = {2: 12, 5: 12, 10: 8, 13: 8}


def without_pointers(data: bytes) -> bytes:
    """Return a database or its log with the offsets of its pages' cells zeroed; anything else as it is.

    An index of short rows has so many that they look like no text. Only what is an offset of its own page goes:
    different numbers, all between their own end and the page's.
    """
    kept = bytearray(data)
    for start, page, head in _pages(data):
        size, cells = _HEADERS.get(data[head], 0), int.from_bytes(data[head + 3 : head + 5], "big")
        first, last = head + size, head + size + 2 * cells
        if not size or not cells or last > min(start + page, len(data)):
            continue
        offsets = np.frombuffer(data[first:last], ">u2")
        if len(np.unique(offsets)) == cells and offsets.min() >= last - start and offsets.max() < page:
            last += 2 * _left_over(data[last : start + page], page)
            kept[first:last] = bytes(last - first)
    return bytes(kept)


def _left_over(gap: bytes, page: int) -> int:
    """How many offsets of cells that are gone by now follow those in use: the array was longer once.

    An offset may stand there twice, in use and left over, but none is left over twice.
    """
    seen: set[int] = set()
    for at in range(0, len(gap) - 1, 2):
        offset = int.from_bytes(gap[at : at + 2], "big")
        if not 0 < offset < page or offset in seen:
            return at // 2
        seen.add(offset)
    return 0


def _pages(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (start, size, start of the header) of each page."""
    if data.startswith(_DATABASE):
        page = int.from_bytes(data[16:18], "big")
        page = 65536 if page == 1 else page
        for start in range(0, len(data) - 8, page) if page >= 512 else ():
            yield start, page, start + (_FIRST_PAGE if start == 0 else 0)
    elif data.startswith(_LOG):
        page = int.from_bytes(data[8:12], "big")
        for frame in range(_LOG_HEADER, len(data) - _FRAME_HEADER - 8, page + _FRAME_HEADER) if page >= 512 else ():
            start = frame + _FRAME_HEADER
            is_first = int.from_bytes(data[frame : frame + 4], "big") == 1
            if start + _FIRST_PAGE + 8 < len(data):
                yield start, page, start + (_FIRST_PAGE if is_first else 0)
