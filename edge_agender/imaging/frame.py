"""The values that walk through the pipeline. All are immutable; arrays inside them are never written to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Picture: TypeAlias = NDArray[np.uint8]


def _keep() -> None:
    """Nothing to give back."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A picture of that width and height, B, G, R, which `make` makes when somebody looks at it."""

    size_px: tuple[int, int]
    make: Callable[[], Picture]


class Frame:
    """One capture: a small picture for detection, grey and in colour, and the full one for crops.

    `small` is luma, uint8, (h, w); `full` is B, G, R, uint8, (H, W, 3) with the same aspect ratio; where it was given
    deferred it is made when it is first looked at. `size_px` is its width and height. `small_bgr` is the small picture
    in colour (h, w, 3); None where a source has none: then whoever needs it makes it from `full`.
    `captured_s` is time.monotonic() at the capture; `utc_s` the wall clock then, seconds since the epoch.
    `focal_px` is the lens's focal length in pixels of `full`; None where the source says nothing of it.
    `release` gives the buffers back to the source: call it once, after which no array may be read. `with frame:` does.
    One thread looks at a frame.
    """

    __slots__ = ("_full", "captured_s", "focal_px", "release", "sequence", "size_px", "small", "small_bgr", "utc_s")

    def __init__(
        self,
        sequence: int,
        captured_s: float,
        utc_s: float,
        small: Picture,
        full: Picture | Deferred,
        release: Callable[[], None] = _keep,
        focal_px: float | None = None,
        small_bgr: Picture | None = None,
    ) -> None:
        self.sequence, self.captured_s, self.utc_s = sequence, captured_s, utc_s
        self.small, self.small_bgr, self._full = small, small_bgr, full
        self.release, self.focal_px = release, focal_px
        self.size_px = full.size_px if isinstance(full, Deferred) else (full.shape[1], full.shape[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def full(self) -> Picture:
        full = self._full
        if isinstance(full, Deferred):
            full = self._full = full.make()
        return full

    @property
    def scale(self) -> float:
        """Full-picture pixels per small-picture pixel."""
        return float(self.size_px[0] / self.small.shape[1])

    def altered(
        self,
        *,
        captured_s: float | None = None,
        utc_s: float | None = None,
        release: Callable[[], None] | None = None,
    ) -> Frame:
        """Return the same frame with other times, or another release; only one of the two may be released."""
        return Frame(
            self.sequence,
            self.captured_s if captured_s is None else captured_s,
            self.utc_s if utc_s is None else utc_s,
            self.small,
            self._full,
            self.release if release is None else release,
            self.focal_px,
            self.small_bgr,
        )
