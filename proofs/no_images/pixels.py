"""Searches bytes for pictures: encoded ones, rows of known frames, known faces at any scale, and what is no text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from proofs.no_images.sqlite_pages import without_pointers
from proofs.no_images.unpack import MIN_BYTES, unpacked

Bytes = NDArray[np.uint8]

_ENCODED = re.compile(
    rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|P[56]\s+\d+\s+\d+\s+\d+\s"
    rb"|\0\0\0\x0cjP  |\x76\x2f\x31\x01|farbfeld",
    re.DOTALL,
)
# Long enough to be no accident where the rest of the picture is missing.
_BEGINNING = re.compile(rb"\xff\xd8\xff(?:\xe0..JFIF|\xe1..Exif|\xdb\0\x43)|\x89PNG\r\n\x1a\n|GIF8[79]a", re.DOTALL)
# A moving picture's first bytes: their decoders want files, so the signature alone has to do.
_FILM = re.compile(
    rb"....ftyp(?:isom|mp4|avc1|heic|avif|qt  )|\x1a\x45\xdf\xa3.{0,40}(?:matroska|webm)|RIFF....AVI ", re.DOTALL
)
_TEXT = np.zeros(256, bool)
_TEXT[[0, 9, 10, 13, *range(32, 127)]] = True

KEY_BYTES = 8
ROW_STEP_BYTES = 16
MIN_ROW_BYTES = 24
MIN_DISTINCT = 5
# Digits alone differ by less than this around each other.
MIN_SPREAD = 6
MIN_CORRELATION = 0.8
MIN_FACE_PX = 12
MAX_FACE_PX = 200
# Larger faces are compared at this size.
COMPARED_PX = 24
WINDOW_BYTES = 49
MAX_GAP_BYTES = 1024
MAX_REGION_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a channel that is, or may be, a picture."""

    kind: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the daemon saw: the bytes of its frames in every layout, and the faces in them, grey."""

    layouts: tuple[bytes, ...]
    faces: tuple[Bytes, ...]


class Scanner:
    def __init__(self, known: Known) -> None:
        self._faces = known.faces
        self._rows = _Rows(known.layouts)

    def scan(self, where: str, data: bytes) -> list[Finding]:
        """Return what looks like a picture in the bytes of one channel, also below what they are wrapped in."""
        findings: list[Finding] = []
        for wrapped, content in unpacked(data):
            name = f"{where} ({wrapped})" if wrapped else where
            certain = [Finding("encoded picture", name, what) for what in encoded(content)]
            certain += [Finding("rows of a frame", name, what) for what in self._rows.find(content)]
            findings += certain or self._guess(name, content)
        return findings

    def _guess(self, name: str, content: bytes) -> list[Finding]:
        """What is no text, and the faces in it and in what may only look like text."""
        odd = list(binary_regions(without_pointers(content)))
        findings = [Finding("bytes that are no text", name, f"{end - start} at {start}") for start, end in odd]
        for start, end in merged([*odd, *smooth_regions(content)]):
            what = match_face(content[start : min(end, start + MAX_REGION_BYTES)], self._faces)
            findings += [Finding("face by correlation", name, what)] if what else []
        return findings


def encoded(data: bytes) -> Iterator[str]:
    """Yield the pictures and films whose files stand in `data`."""
    for match in _ENCODED.finditer(data):
        picture = cv2.imdecode(np.frombuffer(data[match.start() :], np.uint8), cv2.IMREAD_COLOR)
        if picture is not None and min(picture.shape[:2]) >= 4:
            yield f"{picture.shape[1]}x{picture.shape[0]} picture at {match.start()}"
        elif _BEGINNING.match(data, match.start()):
            yield f"beginning of a picture at {match.start()}"
    for match in _FILM.finditer(data):
        yield f"film at {match.start()}"


class _Rows:
    """Finds runs of bytes that also stand in a known frame: exact, whatever stands before and after."""

    def __init__(self, layouts: Sequence[bytes]) -> None:
        self._all = b"".join(layouts)
        every = np.frombuffer(self._all, np.uint8)
        starts = np.arange(0, max(len(every) - KEY_BYTES, 0), ROW_STEP_BYTES)
        windows = every[starts[:, None] + np.arange(KEY_BYTES)] if len(starts) else np.zeros((0, KEY_BYTES), np.uint8)
        lively = (np.diff(np.sort(windows, axis=1), axis=1) > 0).sum(axis=1) + 1 >= MIN_DISTINCT
        keys = windows[lively].copy().view(np.uint64).ravel()
        self._keys, first = np.unique(keys, return_index=True)
        self._starts = starts[lively][first]

    def find(self, data: bytes) -> list[str]:
        if len(data) < MIN_ROW_BYTES or not len(self._keys):
            return []
        found = []
        for offset in range(KEY_BYTES):
            keys = np.frombuffer(data, np.uint64, (len(data) - offset) // KEY_BYTES, offset)
            at = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
            for hit in np.flatnonzero(self._keys[at] == keys)[:1000]:
                length = self._common(data, offset + int(hit) * KEY_BYTES, int(self._starts[at[hit]]))
                if length >= MIN_ROW_BYTES:
                    found.append(f"{length} bytes of a frame at {offset + int(hit) * KEY_BYTES}")
                    break
        return found[:1]

    def _common(self, data: bytes, here: int, there: int) -> int:
        """How many bytes agree around two places."""
        before = 0
        while before < min(here, there) and before < 256 and data[here - before - 1] == self._all[there - before - 1]:
            before += 1
        after = 0
        limit = min(len(data) - here, len(self._all) - there, 4096)
        while after < limit and data[here + after] == self._all[there + after]:
            after += 1
        return before + after


def binary_regions(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the stretches that are not text, whatever they may be. Zeros, as padding, count as text."""
    text = _TEXT[np.frombuffer(data, np.uint8)]
    for start, end in _stretches(_around(text) < 0.75):
        if np.count_nonzero(~text[start:end]) >= MIN_BYTES // 3:
            yield start, end


def smooth_regions(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the stretches where neighbours resemble each other, as pixels do and letters do not.

    The pixels of a dark picture may all be the codes of letters.
    """
    values = np.frombuffer(data, np.uint8).astype(np.float32)
    spread = _around(np.abs(values - _around(values)))
    steps = [_around(np.abs(_step(values, lag))) for lag in (1, 3, 4)]
    yield from _stretches((np.minimum.reduce(steps) < 0.7 * spread) & (spread > MIN_SPREAD))


def merged(regions: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the regions with those joined that nearly touch: parts of one picture may look like text."""
    last: tuple[int, int] | None = None
    for start, end in sorted(regions):
        if last and start <= last[1] + MAX_GAP_BYTES:
            last = last[0], max(end, last[1])
            continue
        if last:
            yield last
        last = start, end
    if last:
        yield last


def _step(values: NDArray[np.float32], lag: int) -> NDArray[np.float32]:
    return np.concatenate((np.zeros(lag, np.float32), values[lag:] - values[:-lag]))


def _around(values: NDArray[Any]) -> NDArray[np.float32]:
    """The mean over the bytes around each one."""
    return np.asarray(cv2.blur(values.astype(np.float32).reshape(1, -1), (WINDOW_BYTES, 1)).ravel())


def _stretches(chosen: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], chosen, [False])).astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= MIN_BYTES - WINDOW_BYTES:
            yield max(int(start) - WINDOW_BYTES // 2, 0), min(int(end) + WINDOW_BYTES // 2, len(chosen))


def match_face(region: bytes, faces: Sequence[Bytes]) -> str | None:
    """Say which known face the bytes show when laid out as a picture of any width, or None."""
    for view_name, pixels in _views(region):
        for channels, row in _layouts(pixels):
            picture = _unrolled(pixels, row).reshape(-1, 2 * row // channels, channels)
            grey = np.ascontiguousarray(picture.mean(axis=2).astype(np.float32))
            score, px = best_match(grey, faces)
            if score >= MIN_CORRELATION:
                size = f"{grey.shape[1]}x{grey.shape[0]}x{channels}"
                return f"a face of {px} px in {size} {view_name}, correlation {score:.2f}"
    return None


def _unrolled(pixels: Bytes, row: int) -> Bytes:
    """Rows of twice the width, so that a face is whole somewhere wherever in a row the bytes begin."""
    rows = len(pixels) // row - 1
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(pixels, (rows, 2 * row), (row, 1)))


def _views(region: bytes) -> Iterator[tuple[str, Bytes]]:
    """The bytes as pixels: as they stand, signed, and as the numbers that networks take."""
    plain = np.frombuffer(region, np.uint8)
    yield "bytes", plain
    yield "signed bytes", plain ^ np.uint8(128)
    for kind in (np.dtype(np.float32), np.dtype(np.float16)):
        for offset in range(kind.itemsize):
            with np.errstate(invalid="ignore"):
                usable = (len(region) - offset) // kind.itemsize
                numbers = np.frombuffer(region, kind, usable, offset).astype(np.float64)
            sane = np.isfinite(numbers) & (np.abs(numbers) < 1e3)
            if usable >= MIN_BYTES and sane.mean() > 0.95:
                yield str(kind), _stretched(np.where(sane, numbers, 0.0))


def _stretched(numbers: NDArray[np.float64]) -> Bytes:
    low, high = np.percentile(numbers, (1, 99))
    return np.asarray(((numbers - low) * 255 / max(high - low, 1e-9)).clip(0, 255), np.uint8)


def _layouts(pixels: Bytes) -> Iterator[tuple[int, int]]:
    """Yield (channels, bytes a row) that the data itself suggests: where it resembles itself one row further."""
    part = pixels[: 1 << 17].astype(np.float64)
    part = part - part.mean()
    spectrum = np.abs(np.fft.rfft(part, 2 * len(part))) ** 2
    alike = np.fft.irfft(spectrum)[: len(part)] / np.arange(len(part), 0, -1)
    most = min(len(part) // MIN_FACE_PX, 3 * 1920)
    lags = np.arange(8, most)
    peaks = [lag for lag in lags if alike[lag] >= alike[lag - 3 : lag + 4].max() and alike[lag] > 0.2 * alike[0]]
    for row in sorted(peaks, key=lambda lag: -alike[lag])[:6]:
        for channels in (1, 3, 4):
            if row % channels == 0 and row // channels >= MIN_FACE_PX:
                yield channels, int(row)


def best_match(grey: NDArray[np.float32], faces: Sequence[Bytes]) -> tuple[float, int]:
    """Return the best normalised correlation of any face with any place of a picture, and the face's size there."""
    best = (0.0, 0)
    size = float(MIN_FACE_PX)
    while size <= min(grey.shape[0], grey.shape[1], MAX_FACE_PX):
        scale = min(1.0, COMPARED_PX / size)
        picture: Any = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
        px = min(round(size * scale), *picture.shape)
        flat = _flat(picture, px)
        for face in faces:
            template: Any = cv2.resize(face, (px, px), interpolation=cv2.INTER_AREA).astype(np.float32)
            scores = cv2.matchTemplate(picture, template, cv2.TM_CCOEFF_NORMED)
            scores[flat[: scores.shape[0], : scores.shape[1]] | ~np.isfinite(scores)] = 0
            best = max(best, (float(scores.max()), round(size)))
        size *= 1.1
    return best


def _flat(grey: NDArray[np.float32], px: int) -> NDArray[np.bool_]:
    """Where a window that begins here has next to no contrast: everything correlates with nothing."""
    mean = cv2.boxFilter(grey, -1, (px, px), anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    square = cv2.boxFilter(grey * grey, -1, (px, px), anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    return np.asarray(square - mean * mean < 16.0)
