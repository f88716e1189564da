"""Working less must not mean seeing less: the same people are found on the sample videos with gating and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.test_engine import engine_on, run

OFF = ["gating.motion=false", "gating.cadence=false", "gating.estimates=false"]


def viewers(tmp_path: Path, video: Path, *options: str) -> tuple[int, int]:
    """Return how many viewers there were, and how many frames were searched."""
    source = ["source.kind=opencv", f"source.opencv.uri={video}", "source.opencv.pace=false", "privacy.level=viewer"]
    with engine_on(tmp_path, *source, *options) as (engine, sink, _):
        run(engine)
    return len(sink.kind("viewer")), engine.pipeline.work.searches


@pytest.mark.parametrize(
    "name", ["face-demographics-walking.gif", "agender-input1.gif", "head-pose-face-detection-female.gif"]
)
def test_the_same_people_with_and_without_gating(name: str, tmp_path: Path, videos: Path) -> None:
    with_gating, searched = viewers(tmp_path / "on", videos / name)
    without, all_frames = viewers(tmp_path / "off", videos / name, *OFF)
    assert with_gating == without >= 1
    assert searched <= all_frames
