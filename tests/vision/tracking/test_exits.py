"""Whoever comes in where somebody has left: another person in a corridor, the same one who paces at the edge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_agender.config.audience import TrackingConfig
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection, Estimate
from edge_agender.vision.tracking.exits import AT_FIRST, Exits
from edge_agender.vision.tracking.reassociation import Place
from edge_agender.vision.tracking.track import Track
from edge_agender.vision.tracking.tracker import Tracker

PICTURE_PX, SIZE = (640, 480), 40.0
# How far a running estimate of one crop varies.
CROP_YEARS_SD, CROP_ODDS_SD = 3.0, 0.8


class Door:
    """The left edge of the picture, by which all come and go at one height; ten searches a second."""

    def __init__(self, seed: int, config: TrackingConfig | None = None) -> None:
        self.random, self.tracker, self.step = np.random.default_rng(seed), Tracker(config or TrackingConfig()), 0
        self.tracker.show(PICTURE_PX)
        self.seen: set[int] = set()

    def looks(self) -> tuple[float, float]:
        """Return the years and the log-odds of somebody of an audience."""
        return float(self.random.normal(38, 15)), float(self.random.choice((-1, 1)) * self.random.normal(2.5, 1.2))

    def visit(self, years: float, odds: float) -> None:
        """Somebody walks in, stands for 3 s and walks out, slowly at the edge; nobody comes for the next 3 s."""
        inwards = 90 - 100 * np.cos(np.linspace(0, np.pi, 25))
        for x in (*inwards, *[inwards[-1]] * 30, *inwards[::-1], *[-10.0] * 30):
            self._search(x, years, odds)

    def _search(self, x: float, years: float, odds: float) -> None:
        dx, dy = self.random.normal(0, 0.05 * SIZE, 2)
        box = Box(x + dx - SIZE / 2, 200 + dy, x + dx + SIZE / 2, 200 + dy + SIZE)
        self.tracker.update([Detection(box, 0.9)] if x >= SIZE / 2 else [], self.step / 10)
        self.step += 1
        for track in self.tracker.visible:
            if track.needs_estimate(0.8):
                p_female = 1 / (1 + math.exp(-(odds + self.random.normal(0, CROP_ODDS_SD))))
                track.add_estimate(Estimate(years + self.random.normal(0, CROP_YEARS_SD), 6.5, p_female), 0.8)
        self.seen |= {track.id for track in self.tracker.tracks}


def test_who_comes_in_where_another_has_left_is_somebody_else() -> None:
    """Of 96 people; some are alike by chance. 74 are counted where place and looks alone decide."""
    doors = [Door(seed) for seed in (1, 2, 3, 4)]
    for door in doors:
        for _ in range(24):
            door.visit(*door.looks())
    assert 86 <= sum(len(door.seen) for door in doors) <= 96


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_paces_at_the_edge_is_one_person(seed: int) -> None:
    door = Door(seed)
    looks = door.looks()
    for _ in range(8):
        door.visit(*looks)
    assert len(door.seen) == 1


def test_without_a_memory_nobody_comes_back() -> None:
    door = Door(1, TrackingConfig(rejoin_s=0))
    for _ in range(4):
        door.visit(30.0, 2.0)
    assert len(door.seen) == 4


@pytest.mark.parametrize(
    ("place", "axis"),
    [
        ((320, 240), None),
        ((25, 240), 0),
        ((615, 240), 0),
        ((320, 455), 1),
        ((40, 240), None),
        ((40, 240, -100, 0), 0),
        ((40, 240, 100, 0), None),
    ],
)
def test_who_is_lost_at_the_edge_or_on_the_way_out_has_left(place: tuple[float, ...], axis: int | None) -> None:
    exits = Exits(10.0)
    x, y, *rate = place
    lost = Place(x, y, math.log(SIZE), *rate)
    assert exits.by(lost) is None  # the picture's size is not known yet
    exits.picture_px = PICTURE_PX
    assert exits.by(lost) == axis


def somebody(y: float, at_s: float, years: float) -> Track:
    track = Track(1, Detection(Box(5, y, 5 + SIZE, y + SIZE), 0.9), at_s)
    track.add_estimate(Estimate(years, 6.0, 0.9), 0.8)
    return track


def test_a_habit_is_learnt_from_looks_and_only_where_the_place_fits() -> None:
    exits = Exits(10.0)
    exits.learn(somebody(200, 0, 30), somebody(200 + 3 * SIZE, 2, 30), 0)
    assert exits.returns == AT_FIRST
    for _ in range(20):
        exits.learn(somebody(200, 0, 30), somebody(200, 2, 30), 0)
    often = exits.returns
    for _ in range(60):
        exits.learn(somebody(200, 0, 30), somebody(200, 2, 60), 0)
    assert often > 0.5 > AT_FIRST > exits.returns > 0


def test_a_doubt_that_was_none_leaves_the_place_where_somebody_came_in() -> None:
    track = somebody(200, 0, 30)
    came_in = track.first_place
    track.predict(1.0)
    track.hit(Detection(Box(300, 200, 300 + SIZE, 200 + SIZE), 0.9), 1.0)
    track.doubt({track.id: 0.0}, 1.0)
    track.settle(1.2)
    assert track.first_place == came_in


def test_what_was_learnt_outlives_a_reload() -> None:
    door, after = Door(1), Tracker(TrackingConfig(rejoin_s=20))
    for _ in range(4):
        door.visit(30.0, 2.0)
    after.take_over(door.tracker)
    door.tracker = after
    door.visit(30.0, 2.0)
    assert len(door.seen) == 1
    assert after._memory.exits.returns > AT_FIRST
