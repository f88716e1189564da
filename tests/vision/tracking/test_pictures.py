"""A picture of a face is nobody, whoever stands still is somebody, and neither hides the other."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from edge_agender.audience.counting import Audience
from edge_agender.audience.measures import Visit
from edge_agender.config.audience import TrackingConfig
from edge_agender.config.settings import Config
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection, Landmarks
from edge_agender.vision.head_pose import HEAD
from edge_agender.vision.tracking.pictures import REMEMBERED_S
from edge_agender.vision.tracking.tracker import Tracker

RATE_HZ = 5
# What the shipped detector's boxes of a still picture vary by, in parts of the face: docs/messages.md.
NOISE = 0.003
# The same of one of 70 pixels in a picture 1280 wide, from frame to frame: as large as a person's sway.
SMALL_NOISE = 0.005


class Wall:
    """Faces before a camera with the detector's noise; `seen` gives what one frame shows."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(1)

    def face(self, x: float, y: float = 300, size: float = 120, turned: float = 0.0, noise: float = NOISE) -> Detection:
        x, y, log_size = self.random.normal((x, y, math.log(size)), (noise * size, noise * size, noise))
        half = math.exp(log_size) / 2
        points = [(x + half * (each[0] + turned * each[2]), y + half * each[1]) for each in HEAD]
        return Detection(Box(x - half, y - half, x + half, y + half), 0.9, Landmarks(*points))

    def swaying(self, x: float, now_s: float, part: float, size: float = 120) -> Detection:
        return self.face(x + math.sqrt(2) * part * size * math.sin(2 * math.pi * 0.3 * now_s), size=size)


def times(duration_s: float, start_s: float = 0.0) -> Iterator[float]:
    return (start_s + step / RATE_HZ for step in range(round(duration_s * RATE_HZ)))


class Counting:
    """A tracker and the audience behind it."""

    def __init__(self, **tracking: float) -> None:
        self.tracker, self.audience = Tracker(TrackingConfig(**tracking)), Audience(Config())
        self.visits: list[Visit] = []

    def see(self, found: list[Detection], now_s: float) -> int:
        """Take in one frame; return how many people it shows."""
        faces = [track.face() for track in self.tracker.update(found, now_s)]
        pictures = [picture.track_id for picture in self.tracker.pictures]
        self.visits += self.audience.observe(
            faces, now_s=now_s, utc_s=1e9 + now_s, focal_length_px=1000, pictures=pictures
        )
        return len(faces)

    @property
    def viewers(self) -> int:
        return sum(visit.is_viewer for visit in (*self.visits, *self.audience.close()))


def test_a_poster_is_no_viewer_and_its_place_is_known() -> None:
    wall, count = Wall(), Counting()
    present = [count.see([wall.face(400)], now_s) for now_s in times(45)]
    assert present[-1] == 0
    (picture,) = count.tracker.pictures
    assert picture.box.centre == pytest.approx((400, 300), abs=3)
    assert count.viewers == 0


def test_a_small_poster_is_no_viewer_for_all_the_detectors_noise() -> None:
    wall, count = Wall(), Counting()
    present = [count.see([wall.face(400, size=70, noise=SMALL_NOISE)], now_s) for now_s in times(45)]
    assert present[-1] == 0
    assert count.viewers == 0


def test_who_stands_still_far_away_counts_for_all_the_detectors_noise() -> None:
    wall, count = Wall(), Counting()
    for now_s in times(60):
        sway_px = 0.011 * 70 * math.sin(2 * math.pi * 0.3 * now_s)
        count.see([wall.face(400 + sway_px, size=70, noise=SMALL_NOISE)], now_s)
    assert not count.tracker.pictures
    assert count.viewers == 1


def test_a_poster_counts_where_that_is_wanted() -> None:
    wall, count = Wall(), Counting(picture_after_s=0)
    for now_s in times(45):
        count.see([wall.face(400)], now_s)
    assert not count.tracker.pictures
    assert count.viewers == 1


@pytest.mark.parametrize("sway", [0.008, 0.016])
def test_who_stands_quite_still_counts(sway: float) -> None:
    wall, count = Wall(), Counting()
    for now_s in times(60):
        count.see([wall.swaying(400, now_s, sway)], now_s)
    assert not count.tracker.pictures
    assert count.viewers == 1


def test_two_who_pass_a_poster_are_two_viewers() -> None:
    wall, count = Wall(), Counting()
    for now_s in times(45):
        walkers = [wall.face(-100 + 150 * (now_s - start_s), size=150) for start_s in (10, 33)]
        seen = [each for each in walkers if 0 < each.box.x1 < 1000]
        # Whoever is before the poster covers it.
        hidden = any(abs(each.box.centre[0] - 400) < 100 for each in seen)
        count.see(seen if hidden else [*seen, wall.face(400)], now_s)
    assert len(count.tracker.pictures) == 1
    assert count.viewers == 2


def test_who_stands_before_a_poster_is_a_person_at_once() -> None:
    wall, count = Wall(), Counting()
    for now_s in times(30):
        count.see([wall.face(400)], now_s)
    present = [count.see([wall.swaying(406, now_s, 0.016, size=135)], now_s) for now_s in times(10, 30)]
    assert present[1:] == [1] * (len(present) - 1)
    assert count.viewers == 1
    assert count.tracker.pictures


def test_another_pose_in_the_very_place_of_a_poster_is_a_person() -> None:
    wall, count = Wall(), Counting()
    for now_s in times(30):
        count.see([wall.face(400)], now_s)
    present = [count.see([wall.face(400, turned=0.6)], now_s) for now_s in times(2, 30)]
    assert present[-1] == 1


def test_a_moved_camera_does_not_bring_a_poster_to_life() -> None:
    wall, count = Wall(), Counting()
    for now_s in times(30):
        count.see([wall.face(400), wall.swaying(700, now_s, 0.016)], now_s)
    count.tracker.move(40, 0)
    present = [count.see([wall.face(440), wall.swaying(740, now_s, 0.016)], now_s) for now_s in times(5, 30)]
    assert set(present) == {1}


def test_a_pattern_that_is_no_sure_face_is_no_alarm() -> None:
    wall, count = Wall(), Counting(confirm_score=0.95)
    for now_s in times(30):
        count.see([wall.face(400)], now_s)
    assert not count.tracker.pictures


def test_a_poster_that_was_taken_down_is_forgotten() -> None:
    wall, count = Wall(), Counting()
    for now_s in times(30):
        count.see([wall.face(400)], now_s)
    count.see([], 30.0)
    assert count.tracker.pictures
    for now_s in range(40, 40 + round(REMEMBERED_S), 10):
        count.see([], float(now_s))
    assert not count.tracker.pictures
