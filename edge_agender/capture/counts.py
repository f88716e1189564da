"""What was captured, counted in one place that outlives every opening of the camera."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Frames that the source delivered, those of them that nobody took in time, and how often the source came back.

    Written by the capture thread, read by any.
    """

    captured: int = 0
    dropped: int = 0
    restarts: int = 0
