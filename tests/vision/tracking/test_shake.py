from __future__ import annotations

import pytest

from edge_agender.config.audience import TrackingConfig
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection
from edge_agender.vision.tracking import shake
from edge_agender.vision.tracking.track import Spot, Track
from edge_agender.vision.tracking.tracker import Tracker

PEOPLE = ((100.0, 100.0, 40.0), (300.0, 140.0, 60.0), (520.0, 90.0, 32.0))


def found(by_px: tuple[float, float], people: tuple[tuple[float, float, float], ...] = PEOPLE) -> list[Detection]:
    return [
        Detection(Box(x + by_px[0], y + by_px[1], x + by_px[0] + size, y + by_px[1] + size), 0.9)
        for x, y, size in people
    ]


def knocked(by_px: tuple[float, float], after: list[Detection] | None = None) -> list[int]:
    """Three stand there for a second, then the camera is knocked; return who is seen."""
    tracker = Tracker(TrackingConfig())
    for step in range(10):
        tracker.update(found((0, 0)), step / 10)
    for step in (10, 11):
        tracker.update(found(by_px) if after is None else after, step / 10)
    return sorted(track.id for track in tracker.tracks if track.seen)


@pytest.mark.parametrize("by_px", [(120.0, 0.0), (-60.0, 90.0), (15.0, -12.0)])
def test_a_knock_moves_everybody_and_makes_nobody_new(by_px: tuple[float, float]) -> None:
    assert knocked(by_px) == [1, 2, 3]


def test_others_in_other_places_are_no_knock() -> None:
    elsewhere = found((0, 0), ((180.0, 300.0, 90.0), (400.0, 20.0, 25.0), (40.0, 250.0, 55.0)))
    assert not {1, 2, 3} & set(knocked((0, 0), elsewhere))


def test_a_crowd_that_jumps_is_not_compared_with_itself_for_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each movement tried compares everybody with everybody: trying all of a crowd's would take minutes on a Pi."""
    tried: list[float] = []
    agreeing = shake._agreeing

    def counting(tracks: list[Track], spots: list[Spot], dx: float, dy: float) -> list[tuple[float, float]]:
        tried.append(dx)
        return agreeing(tracks, spots, dx, dy)

    monkeypatch.setattr(shake, "_agreeing", counting)
    crowd = [(60.0 * (number % 8), 60.0 * (number // 8), 40.0) for number in range(24)]
    tracker = Tracker(TrackingConfig())
    for step in range(5):
        tracker.update(found((0, 0), tuple(crowd)), step / 10)
    tracker.update(found((700, 0), tuple(crowd)), 0.5)
    assert 0 < len(tried) <= shake.MOST_TRIED * len(crowd)
    assert sorted(track.id for track in tracker.tracks if track.seen) == list(range(1, 25))
