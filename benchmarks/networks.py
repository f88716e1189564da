"""What each detector takes for a picture, and each estimator for a face: others' and ours in turn, one thread.

Time is the processor's, of this process: on a machine that does much else, a clock on the wall counts others' turns.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.field.rows import DETECTORS, ESTIMATORS, OUR_DETECTOR, OUR_ESTIMATOR, Folders
from edge_agender.errors import EdgeAgenderError
from edge_agender.imaging.frame import Frame
from edge_agender.vision.pipeline import Estimator

THRESHOLD = 0.5
PUBLISHED_PAIR = "SSR-Net as published, our boxes"


@dataclass(frozen=True)
class Taken:
    """Median milliseconds of a call, the median of its ratios to ours in the same round, the bytes of the networks."""

    median_ms: float
    times_ours: float
    size_bytes: int | None


def detectors(frame: Frame, rounds: int, folders: Folders | None = None) -> dict[str, Taken]:
    """Time what each detector does with a picture: scaling, network, decoding."""
    calls, sizes = {}, {}
    for row in DETECTORS:
        try:
            detector, sizes[row.title] = row.open(folders or Folders(), THRESHOLD)
        except EdgeAgenderError as error:
            print(f"skipped: {row.title}: {error}", file=sys.stderr)
            continue
        calls[row.title] = lambda each=detector: each.detect(frame)
    return _in_turn(calls, OUR_DETECTOR, rounds, sizes)


def estimators(rounds: int, folders: Folders | None = None) -> dict[str, Taken]:
    """Time what each estimator does with one face's crop: encoding, networks, decoding."""
    calls, sizes = {}, {}
    for row in ESTIMATORS:
        if row.detector != "ssd":
            continue  # the demos' networks are those of the published pair
        try:
            estimator, sizes[row.title] = row.open(folders or Folders())
        except EdgeAgenderError as error:
            print(f"skipped: {row.title}: {error}", file=sys.stderr)
            continue
        calls[row.title] = _call(estimator)
    return _in_turn(calls, OUR_ESTIMATOR, rounds, sizes)


def table(taken: dict[str, Taken], ours: str) -> str:
    rows = []
    for name, each in taken.items():
        size = "" if each.size_bytes is None else f"{each.size_bytes / 1e3:9.0f} kB"
        rows.append(f"{name:34}{each.median_ms:9.2f} ms{each.times_ours:8.1f} x {ours}{size}")
    return "\n".join(rows)


def _call(estimator: Estimator) -> Callable[[], object]:
    side = estimator.crop_px
    crop = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    return lambda: estimator.estimate([crop])


def _in_turn(calls: dict[str, Callable[[], object]], ours: str, rounds: int, sizes: dict[str, Any]) -> dict[str, Taken]:
    for call in calls.values():
        for _ in range(3):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began_s = time.process_time()
            call()
            seconds[name].append(time.process_time() - began_s)
    return {
        name: Taken(
            round(1e3 * statistics.median(taken), 3),
            round(statistics.median(a / b for a, b in zip(taken, seconds[ours], strict=True)), 2),
            sizes[name],
        )
        for name, taken in seconds.items()
    }
