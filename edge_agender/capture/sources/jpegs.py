"""Finds JPEG pictures in what cameras send as MJPEG, by the pictures themselves.

Headers between them cannot be trusted: boundaries before or behind the part, with other dashes than announced, lines
that end in LF alone, no Content-Length or a wrong one, image/jpg. A JPEG says where it begins and ends (ITU T.81, B.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_agender.errors import MediaError

SOI = b"\xff\xd8\xff"
# A picture of 16 million pixels at the best quality is about that large.
MAX_PICTURE_BYTES = 16_000_000
# Within coded data a 0xFF is followed by 0x00 or by a restart marker; anything else is a marker (0xFF may repeat).
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_START_OF_SCAN, _START, _END = 0xDA, 0xD8, 0xD9
_WITHOUT_LENGTH = frozenset([0x01, *range(0xD0, 0xD8)])
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class JpegParser:
    """Takes bytes as they come and yields whole pictures. Holds at most one picture, and no more than the limit."""

    def __init__(self, max_bytes: int = MAX_PICTURE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._at = 0
        self._in_scan = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the pictures that the chunk completes. Raises MediaError for one beyond the limit."""
        self._data += chunk
        while (picture := self._next()) is not None:
            yield picture
        if len(self._data) > self._max_bytes:
            raise MediaError(f"a picture of more than {self._max_bytes // 1_000_000} MB: choose a smaller one")

    def _next(self) -> bytes | None:
        if not self._at and not self._begin():
            return None
        while (marker := self._marker()) is not None:
            if marker == _END:
                end = self._at
                picture = bytes(self._data[:end])
                self._drop(end)
                return picture
            if marker == _START:  # the picture before was cut short: the next one begins here
                self._drop(self._at - 2)
                self._at = 2
        return None

    def _begin(self) -> bool:
        """Drop what stands before the next picture; False where none has begun."""
        start = self._data.find(SOI)
        if start < 0:
            # Two bytes of it may have come.
            del self._data[: max(len(self._data) - (len(SOI) - 1), 0)]
            return False
        self._drop(start)
        self._at = 2
        return True

    def _drop(self, count: int) -> None:
        del self._data[:count]
        self._at, self._in_scan = 0, False

    def _marker(self) -> int | None:
        """Step over the next marker and, outside coded data, over its segment; None where more bytes are needed."""
        found = _MARKER.search(self._data, self._at)
        if found is None:
            if self._in_scan:
                self._at = max(self._at, len(self._data) - 1)
            return None
        marker, at = self._data[found.end() - 1], found.end()
        if marker in (_END, _START) or marker in _WITHOUT_LENGTH:
            self._at = at
            return marker
        if len(self._data) < at + 2:
            return None
        end = at + max(int.from_bytes(self._data[at : at + 2], "big"), 2)
        if len(self._data) < end:
            return None
        self._at, self._in_scan = end, marker == _START_OF_SCAN
        return marker


def jpeg_size(picture: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels as the picture's header says; None where it says nothing."""
    at = 2
    while found := _MARKER.search(picture, at):
        marker, at = picture[found.end() - 1], found.end()
        if marker in _SIZES and len(picture) >= at + 7:
            height, width = (int.from_bytes(picture[at + 3 + i : at + 5 + i], "big") for i in (0, 2))
            return width, height
        if marker in (_END, _START_OF_SCAN):
            return None
        if marker not in _WITHOUT_LENGTH:
            at += int.from_bytes(picture[at : at + 2], "big")
    return None
