"""Neighbours are not taken for one another: where a face may be anybody's, its looks tell whose it is."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agender.config.audience import TrackingConfig
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection, Estimate
from edge_agender.vision.tracking.reassociation import same_looks
from edge_agender.vision.tracking.tracker import Tracker

SIZE = 40.0
# Who looks how: years and the probability of a woman.
LOOKS = {"girl": (12.0, 0.95), "man": (50.0, 0.05)}


class Place:
    """A tracker before which people stand; ten searches a second."""

    def __init__(self) -> None:
        self.tracker, self.step = Tracker(TrackingConfig()), 0

    def see(self, seconds: float, **people: tuple[float, float]) -> dict[str, int]:
        """Show people at places for a while; return the number that each has at the end."""
        for _ in range(round(seconds * 10)):
            boxes = {who: _box(*at) for who, at in people.items()}
            self.tracker.update([Detection(box, 0.9) for box in boxes.values()], self.step / 10)
            self.step += 1
            for track in self.tracker.visible:
                if track.needs_estimate(0.8):
                    years, p_female = LOOKS[next(who for who, box in boxes.items() if box is track.found)]
                    track.add_estimate(Estimate(years, 6.0, p_female), 0.8)
        numbers = {track.found: track.id for track in self.tracker.tracks if track.seen}
        return {who: numbers[box] for who, box in boxes.items() if box in numbers}


def _box(x: float, y: float) -> Box:
    return Box(x - SIZE / 2, y - SIZE / 2, x + SIZE / 2, y + SIZE / 2)


def test_who_comes_from_behind_a_neighbour_who_looks_away_is_not_the_neighbour() -> None:
    place = Place()
    first = place.see(3, girl=(100, 100), man=(130, 100))
    place.see(1.5, girl=(105, 100))
    place.see(0.3)
    assert place.see(1, man=(122, 100))["man"] == first["man"]
    assert place.see(1, girl=(100, 100), man=(130, 100)) == first


def test_neighbours_who_change_places_behind_one_another_keep_their_numbers() -> None:
    place = Place()
    first = place.see(3, girl=(100, 100), man=(140, 100))
    place.see(0.4)
    assert place.see(1.5, girl=(140, 100), man=(100, 100)) == first


def test_while_in_doubt_nobody_is_counted_twice() -> None:
    place = Place()
    place.see(3, girl=(100, 100), man=(130, 100))
    place.see(1.5, girl=(105, 100))
    place.see(0.3)
    for _ in range(10):
        place.see(0.1, man=(122, 100))
        assert len(place.tracker.tracks) == 2


def test_visits_in_doubt_keep_their_beginning_and_their_detections() -> None:
    place = Place()
    place.see(3, girl=(100, 100), man=(130, 100))
    place.see(0.1, girl=(100, 100))
    place.see(0.1, man=(112, 100))
    assert {track.face().first_seen_s for track in place.tracker.tracks} == {0.0}
    assert sum(track.face().hits for track in place.tracker.tracks) == 62


@pytest.mark.parametrize("looks", ["girl", "man"])
def test_a_lone_face_that_jumps_is_the_same_by_its_looks_only(looks: str) -> None:
    place = Place()
    first = place.see(3, girl=(100, 100))["girl"]
    assert (place.see(1, **{looks: (220, 60)})[looks] == first) == (looks == "girl")


def test_who_is_missed_as_somebody_comes_is_still_there() -> None:
    place = Place()
    first = place.see(3, girl=(100, 100))["girl"]
    place.see(0.1, man=(220, 60))
    assert place.see(1, girl=(100, 100), man=(220, 60))["girl"] == first


@pytest.mark.parametrize("people", [1, 3])
def test_a_trembling_camera_makes_nobody_new(people: int) -> None:
    random, tracker = np.random.default_rng(5), Tracker(TrackingConfig())
    for step in range(200):
        dx, dy = random.normal(0, 10, 2) if step >= 20 else (0.0, 0.0)
        tracker.update([Detection(_box(100 + 150 * i + dx, 100 + dy), 0.9) for i in range(people)], step / 10)
    assert [track.id for track in tracker.tracks] == list(range(1, people + 1))


def test_two_estimates_of_many_crops_tell_more_than_those_of_one() -> None:
    here, older = Estimate(30.0, 6.0, 0.9), Estimate(42.0, 6.0, 0.9)
    assert same_looks((here, 1), (older, 1)) > 2 + same_looks((here, 9), (older, 9))
    assert same_looks((here, 1), (here, 1)) < same_looks((here, 9), (here, 9))
    assert same_looks((here, 9), (None, 0)) == 0
