from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edge_agender.config.audience import TrackingConfig
from edge_agender.config.settings import GatingConfig
from edge_agender.imaging.frame import Frame, Picture
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import crop_face
from edge_agender.vision.faces import Detection, Estimate, Landmarks
from edge_agender.vision.gating import Cadence
from edge_agender.vision.pipeline import Pipeline, cut
from edge_agender.vision.tracking.tracker import Tracker

RATE_HZ = 10.0
FACE = Box(200, 100, 300, 230)


class ScriptedDetector:
    """Finds what it is told, and remembers how often it was asked."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self.boxes, self.calls, self.busy_s = list(boxes), 0, 0.0

    def detect(self, frame: Frame) -> list[Detection]:
        self.calls += 1
        self.busy_s += 2.0
        return [Detection(box, 0.9) for box in self.boxes]


class ScriptedEstimator:
    crop_px, crop_margin = 64, 0.2
    aligned = False

    def __init__(self, estimate: Estimate | None) -> None:
        self.estimate_of_all, self.crops, self.busy_s = estimate, 0, 0.0
        self.last: Sequence[Picture] = []  # emptied by the pipeline when it returns
        self.left_is_dark: list[bool] = []

    def estimate(self, crops: Sequence[Picture]) -> list[Estimate | None]:
        assert all(crop.shape == (64, 64, 3) for crop in crops)
        self.crops += len(crops)
        self.busy_s += 0.25 * len(crops)
        self.last = crops
        self.left_is_dark += [bool(crop[:, :16].mean() < crop[:, -16:].mean()) for crop in crops]
        return [self.estimate_of_all] * len(crops)


def frame(number: int) -> Frame:
    random = np.random.default_rng(number)
    full = random.integers(0, 255, (480, 640, 3), np.uint8)
    small = random.integers(0, 255, (240, 320), np.uint8)
    return Frame(number, number / RATE_HZ, 1e9 + number / RATE_HZ, small, full, focal_px=700.0)


def pipeline(detector: ScriptedDetector, estimator: ScriptedEstimator, *, spare: bool, **gating: object) -> Pipeline:
    cadence = Cadence(GatingConfig.model_validate({"motion": False, "cadence": False} | gating))
    return Pipeline(detector, estimator, Tracker(TrackingConfig()), cadence, spare_estimates=spare)


def test_a_person_keeps_one_running_estimate() -> None:
    work = pipeline(ScriptedDetector([FACE]), ScriptedEstimator(Estimate(30.0, 6.0, 0.9)), spare=False)
    seen = [work.process(frame(i)) for i in range(10)]
    (face,) = seen[-1].faces
    assert face.estimate is not None
    assert face.estimate.years == pytest.approx(30.0)
    assert face.estimate.years_sd < 6.0
    assert len({f.track_id for observation in seen for f in observation.faces}) == 1
    assert (seen[-1].picture_px, seen[-1].focal_px) == ((640, 480), 700.0)
    assert work.networks_s == 10 * 2.0 + 9 * 0.25


def test_crops_are_overwritten_when_they_have_been_looked_at() -> None:
    estimator = ScriptedEstimator(Estimate(30.0, 6.0, 0.9))
    work = pipeline(ScriptedDetector([FACE]), estimator, spare=False)
    for number in range(3):
        work.process(frame(number))
        assert all(not crop.any() for crop in estimator.last)
    assert estimator.crops == 2


def test_every_other_crop_of_a_face_is_mirrored() -> None:
    estimator = ScriptedEstimator(Estimate(30.0, 6.0, 0.9))
    work = pipeline(ScriptedDetector([FACE]), estimator, spare=False)
    for number in range(6):
        picture = frame(number)
        picture.full[:, 250:] = 255
        work.process(picture)
    assert estimator.left_is_dark == [True, False, True, False, True]


def test_estimates_stop_when_they_say_nothing_new() -> None:
    spared, full = (ScriptedEstimator(Estimate(30.0, 6.0, 0.9)) for _ in range(2))
    for estimator, spare in ((spared, True), (full, False)):
        work = pipeline(ScriptedDetector([FACE]), estimator, spare=spare)
        for i in range(100):
            work.process(frame(i))
    assert full.crops == 99  # a track is confirmed by its second detection
    assert 3 <= spared.crops < 40


def test_searches_follow_the_cadence_and_tracks_carry_on_between_them() -> None:
    detector = ScriptedDetector([FACE])
    work = pipeline(
        detector, ScriptedEstimator(Estimate(30.0, 6.0, 0.9)), spare=True, cadence=True, active_interval_s=0.3
    )
    seen = [work.process(frame(i)) for i in range(31)]
    assert detector.calls == 11
    assert sum(observation.searched for observation in seen) == 11
    assert all(len(observation.faces) == 1 for observation in seen[4:])
    assert (work.work.frames, work.work.searches) == (31, 11)


def test_a_network_that_gives_no_number_leaves_a_person_without_estimate() -> None:
    work = pipeline(ScriptedDetector([FACE]), ScriptedEstimator(None), spare=True)
    seen = [work.process(frame(i)) for i in range(5)]
    assert [face.estimate for face in seen[-1].faces] == [None]


def test_boxes_at_the_edge_are_cropped_without_error() -> None:
    corners = [Box(0, 0, 20, 20), Box(600, 440, 640, 480), Box(0, 0, 640, 480)]
    work = pipeline(ScriptedDetector(corners), ScriptedEstimator(Estimate(30.0, 6.0, 0.9)), spare=False)
    seen = [work.process(frame(i)) for i in range(3)]
    assert len(seen[-1].faces) == 3


def test_sharpness_and_light_are_noted_only_while_somebody_aims() -> None:
    work = pipeline(ScriptedDetector([FACE]), ScriptedEstimator(Estimate(30.0, 6.0, 0.9)), spare=True)
    for i in range(3):
        work.process(frame(i))
    assert work.conditions == {}
    work.aiming = True
    work.process(frame(3))
    ((sharp, light),) = work.conditions.values()
    assert 0 <= sharp <= 1
    assert 0.3 < light < 0.7


def test_a_face_with_landmarks_is_levelled_for_an_estimator_that_wants_it_and_only_for_that() -> None:
    image = np.zeros((300, 300, 3), np.uint8)
    image[:150] = 255
    box, estimator = Box(100, 100, 200, 200), ScriptedEstimator(None)
    on_its_side = Landmarks((150, 120), (150, 155), (170, 138), (190, 123), (190, 153))
    assert np.array_equal(cut(image, box, on_its_side, estimator), crop_face(image, box, 64, 0.2))
    estimator.aligned = True
    assert np.array_equal(cut(image, box, None, estimator), crop_face(image, box, 64, 0.2))
    turned = cut(image, box, on_its_side, estimator)
    assert turned.shape == (64, 64, 3)
    assert abs(float(turned[:, :20].mean()) - float(turned[:, -20:].mean())) > 100


def test_after_another_source_an_earlier_clock_is_searched_and_followed() -> None:
    """A recording that was read faster than it plays leaves a clock that a camera reaches hours later."""
    detector = ScriptedDetector([FACE])
    pipe = pipeline(detector, ScriptedEstimator(None), spare=False, cadence=True)
    for number in range(100_000, 100_005):
        pipe.process(frame(number))
    pipe.reset()
    before = detector.calls
    for number in range(30):
        seen = pipe.process(frame(number))
    assert detector.calls > before
    assert [face.last_seen_s for face in seen.faces] == [seen.captured_s]


def test_the_tracker_learns_where_pictures_end() -> None:
    work = pipeline(ScriptedDetector([FACE]), ScriptedEstimator(Estimate(30.0, 6.0, 0.9)), spare=False)
    work.process(frame(0))
    assert work._tracker._memory.exits.picture_px == (640, 480)
