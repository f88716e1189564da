"""The values that walk through the pipeline. All are immutable; arrays inside them are never written to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Picture: TypeAlias = NDArray[np.uint8]


def _keep() -> None:
    """Nothing to give back."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One capture: a grey picture for detection and the full one for crops.

    `small` is luma, uint8, (h, w); `full` is B, G, R, uint8, (H, W, 3) with the same aspect ratio.
    `captured_s` is time.monotonic() at the capture; `utc_s` the wall clock then, seconds since the epoch.
    `focal_px` is the lens's focal length in pixels of `full`; None where the source says nothing of it.
    `release` gives the buffers back to the source: call it once, after which no array may be read. `with frame:` does.
    """

    sequence: int
    captured_s: float
    utc_s: float
    small: Picture
    full: Picture
    release: Callable[[], None] = field(default=_keep, repr=False)
    focal_px: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def scale(self) -> float:
        """Full-picture pixels per small-picture pixel."""
        return self.full.shape[1] / self.small.shape[1]
