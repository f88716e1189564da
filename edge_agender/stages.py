"""Where the time of a frame goes: durations by stage, kept in a bounded window."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("capture", "scale", "gate", "detect", "crop", "judge", "estimate", "track", "encode", "publish")


class StageTimes:
    """Collects durations in seconds by stage; the last `keep` of each are held."""

    def __init__(self, keep: int = 512) -> None:
        self._samples: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=keep))

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._samples[stage].append(time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        self._samples[stage].append(seconds)

    def samples(self) -> dict[str, list[float]]:
        """Return a copy of what is held: stage -> durations in seconds, oldest first."""
        return {stage: list(values) for stage, values in self._samples.items()}

    def clear(self) -> None:
        self._samples.clear()
