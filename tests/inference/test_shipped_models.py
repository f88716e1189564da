"""What ships, on real pictures: faces where there are some, nobody where there is nobody, int8 in XNNPACK."""

import math

import cv2
import numpy as np
import pytest

from edge_agender.config.settings import DetectorConfig
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.geometry import Box, iou
from edge_agender.imaging.preprocess import small_luma
from edge_agender.inference import catalogue as models
from edge_agender.inference.network import open_tflite
from edge_agender.inference.tflite import runtime_name
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.estimator import ModelEstimator
from edge_agender.vision.pipeline import cut
from tests.support.paths import SHARED

VIDEOS = SHARED / "videos"
MAX_ESTIMATOR_BYTES, MAX_ESTIMATOR_MULTIPLY_ADDS = 400_000, 40_000_000
MAX_DETECTOR_MULTIPLY_ADDS = 130_000_000


def frame_of(full):
    return Frame(0, 0.0, 0.0, small_luma(full, (320, 240)), full)


def frames(name, every=1, limit=20):
    path = VIDEOS / name
    if not path.is_file():
        pytest.skip(f"needs ../shared/videos/{name}")
    capture = cv2.VideoCapture(str(path))
    taken = []
    number = 0
    while len(taken) < limit and capture.grab():
        if number % every == 0:
            taken.append(np.asarray(capture.retrieve()[1]))
        number += 1
    capture.release()
    return taken


@pytest.fixture(scope="module")
def detector():
    return configured_detector(DetectorConfig())


@pytest.fixture(scope="module")
def estimator():
    return ModelEstimator(models.find_model("agender-ssrnet"))


def test_the_man_with_the_ball_is_found_in_every_frame(detector):
    shown = frames("agender-input1.gif", every=7, limit=6)
    for full in shown:
        found = detector.detect(frame_of(full))
        assert found
        assert found[0].score > 0.5
    first = detector.detect(frame_of(shown[0]))[0]
    assert float(iou([first.box], [Box(155, 57, 213, 127)])[0, 0]) > 0.5


def test_he_is_given_an_age_with_its_deviation_and_a_gender(detector, estimator):
    full = frames("agender-input1.gif", limit=1)[0]
    found = detector.detect(frame_of(full))[0]
    (estimate,) = estimator.estimate([cut(full, found.box, found.landmarks, estimator)])
    assert 0 <= estimate.years <= 116
    assert 0 < estimate.years_sd < 60
    assert 0 <= estimate.p_female <= 1


def test_people_seen_only_from_above_are_next_to_no_faces(detector):
    shown = frames("one-by-one-person-detection.mp4", every=10, limit=30)
    assert sum(bool(detector.detect(frame_of(full))) for full in shown) <= 1


@pytest.mark.parametrize("kind", ["black", "white", "noise", "gradient"])
def test_nothing_is_nobody(detector, kind):
    random = np.random.default_rng(0)
    full = {
        "black": np.zeros((480, 640, 3), np.uint8),
        "white": np.full((480, 640, 3), 255, np.uint8),
        "noise": random.integers(0, 256, (480, 640, 3), dtype=np.uint8),
        "gradient": np.tile(np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None], (480, 1, 3)),
    }[kind]
    assert detector.detect(frame_of(full)) == []


def test_any_crop_gets_finite_numbers(estimator):
    random = np.random.default_rng(0)
    crops = [np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)]
    crops += [random.integers(0, 256, (64, 64, 3), dtype=np.uint8)]
    for estimate in estimator.estimate(crops):
        assert estimate is not None
        assert all(math.isfinite(value) for value in estimate)


@pytest.mark.parametrize("name", ["agender-ssrnet", "agender-edge"])
def test_estimators_run_in_xnnpack_but_for_depthwise_convolutions_with_int8_weights(name):
    if runtime_name() != "ai_edge_litert":
        pytest.skip("tflite-runtime's XNNPACK takes floats only")
    spec = models.find_model(name)
    operators = open_tflite(spec, spec.networks[0], 1).operators()
    assert set(operators) == {"DELEGATE", "DEPTHWISE_CONV_2D"}
    assert operators.count("DEPTHWISE_CONV_2D") <= 12


def test_int8_runs_in_xnnpack_but_for_crumbs():
    if runtime_name() != "ai_edge_litert":
        pytest.skip("tflite-runtime's XNNPACK takes floats only")
    spec = models.find_model("face-ssd")
    operators = open_tflite(spec, spec.networks[0], 1).operators()
    assert spec.input.dtype == "int8"
    assert 1 <= operators.count("DELEGATE") <= 3
    # What is small stays outside: softmaxes over three numbers, and joining more arrays than XNNPACK joins.
    assert set(operators) <= {"DELEGATE", "SOFTMAX", "CONCATENATION"}


def test_sizes_and_costs_stay_below_their_limits():
    detector, estimator = models.find_model("face-ssd"), models.find_model("agender-ssrnet")
    assert estimator.networks[0].weights.size_bytes < MAX_ESTIMATOR_BYTES
    assert detector.multiply_adds <= MAX_DETECTOR_MULTIPLY_ADDS
    assert estimator.multiply_adds <= MAX_ESTIMATOR_MULTIPLY_ADDS
    larger = models.find_model("agender-edge")
    assert larger.networks[0].weights.size_bytes < 3 * 2**20
    assert larger.multiply_adds <= 160_000_000
