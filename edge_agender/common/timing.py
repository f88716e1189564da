"""Where the time of a frame goes: durations by stage, kept in a bounded window."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

STAGES = ("capture", "scale", "gate", "detect", "crop", "judge", "estimate", "track", "encode", "publish")


class StageTimer:
    """Times one stage after the other: each lasts from the end of the one before."""

    __slots__ = ("_samples", "_since_s")

    def __init__(self, samples: Mapping[str, deque[float]]) -> None:
        self._samples = samples
        self._since_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The stage ends now."""
        now_s = time.perf_counter()
        self._samples[stage].append(now_s - self._since_s)
        self._since_s = now_s


class StageTimes:
    """Collects durations in seconds by stage; the last `keep` of each are held."""

    def __init__(self, keep: int = 512) -> None:
        self._samples: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=keep))

    def laps(self) -> StageTimer:
        """Return a clock whose first stage begins now."""
        return StageTimer(self._samples)

    def add(self, stage: str, seconds: float) -> None:
        self._samples[stage].append(seconds)

    def total_s(self, stages: Iterable[str]) -> float:
        """Return the sum of what is held of these stages."""
        return sum(sum(self._samples[stage]) for stage in stages if stage in self._samples)

    def samples(self) -> dict[str, list[float]]:
        """Return a copy of what is held: stage -> durations in seconds, oldest first."""
        return {stage: list(values) for stage, values in self._samples.items()}

    def clear(self) -> None:
        self._samples.clear()
