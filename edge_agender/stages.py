"""Where the time of a frame goes: durations by stage, kept in a bounded window."""

from __future__ import annotations

import time
from collections import defaultdict, deque

STAGES = ("capture", "scale", "gate", "detect", "crop", "judge", "estimate", "track", "encode", "publish")


class _Measurement:
    """A class of its own: a generator's context would cost a stage's call twice as much."""

    __slots__ = ("_durations", "_start_s")

    def __init__(self, durations: deque[float]) -> None:
        self._durations = durations

    def __enter__(self) -> None:
        self._start_s = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._durations.append(time.perf_counter() - self._start_s)


class StageTimes:
    """Collects durations in seconds by stage; the last `keep` of each are held."""

    def __init__(self, keep: int = 512) -> None:
        self._samples: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=keep))

    def measure(self, stage: str) -> _Measurement:
        """Return a context whose duration counts for the stage."""
        return _Measurement(self._samples[stage])

    def add(self, stage: str, seconds: float) -> None:
        self._samples[stage].append(seconds)

    def samples(self) -> dict[str, list[float]]:
        """Return a copy of what is held: stage -> durations in seconds, oldest first."""
        return {stage: list(values) for stage, values in self._samples.items()}

    def clear(self) -> None:
        self._samples.clear()
