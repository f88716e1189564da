import importlib.util
import json

import numpy as np
import pytest

from edge_agender.commands.evaluate.scoring import (
    Judged,
    LabelledBox,
    Scene,
    average_precision,
    band_of,
    by,
    calibration_error,
    group_of,
    summary,
)
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection
from tests.support.paths import SHARED

REFERENCE = SHARED / "tools/score.py"


def label(x, y, side, ignore=False):
    return LabelledBox(Box(x, y, x + side, y + side), ignore)


def find(x, y, side, score):
    return Detection(Box(x, y, x + side, y + side), score)


def ap(*scenes, min_height=0.0):
    return average_precision(scenes, min_height)["ap"]


def test_all_found_and_nothing_else_is_one():
    assert ap(Scene(100, (label(0, 0, 20), label(50, 50, 20)), (find(0, 0, 20, 0.9), find(50, 50, 20, 0.4)))) == 1.0


def test_nothing_found_is_zero():
    assert average_precision([Scene(100, (label(0, 0, 20),), ())], 0.0) == {"faces": 1, "ap": 0.0, "max_recall": 0.0}


def test_a_second_box_on_one_face_is_wrong():
    twice = Scene(100, (label(0, 0, 20), label(50, 50, 20)), (find(0, 0, 20, 0.9), find(1, 1, 20, 0.8)))
    assert average_precision([twice], 0.0)["max_recall"] == 0.5
    assert ap(twice) == pytest.approx(51 / 101, abs=1e-4)


def test_a_false_alarm_counts_by_its_score():
    face = label(0, 0, 20)
    sure = Scene(100, (face,), (find(0, 0, 20, 0.5), find(60, 60, 20, 0.9)))
    doubtful = Scene(100, (face,), (find(0, 0, 20, 0.5), find(60, 60, 20, 0.1)))
    assert ap(sure) == 0.5
    assert ap(doubtful) == 1.0


def test_ignored_and_small_faces_count_neither_way():
    scene = Scene(
        100,
        (label(0, 0, 20), label(40, 0, 20, ignore=True), label(70, 0, 5)),
        (find(0, 0, 20, 0.5), find(40, 0, 20, 0.9), find(40, 1, 20, 0.8), find(70, 0, 5, 0.7)),
    )
    assert average_precision([scene], 0.1) == {"faces": 1, "ap": 1.0, "max_recall": 1.0}


def person(age=30.0, years=33.0, female=True, p_female=0.8, sd=4.0, group="a"):
    return Judged(age if isinstance(age, tuple) else (age, age), female, group, years, sd, p_female)


def test_errors_bias_and_accuracy():
    figures = summary([person(30, 33), person(30, 21, female=False, p_female=0.6)])
    assert figures["mae_years"] == 6.0
    assert figures["bias_years"] == -3.0
    assert figures["within_5"] == 0.5
    assert figures["gender_accuracy"] == 0.5
    assert figures["within_1_sd"] == 0.5


def test_of_a_group_of_ages_the_error_is_the_distance_to_it():
    figures = summary([person((30, 40), 33), person((30, 40), 42), person((30, 40), 28)])
    assert figures["mae_years"] == pytest.approx(4 / 3, abs=1e-3)
    assert figures["in_group"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["bias_years"] == pytest.approx(-2 / 3, abs=1e-3)
    assert summary([person((30, 40), 33), person(30, 33)])["in_group"] is None
    assert [band_of(person(ages)) for ages in ((30, 40), (70, 96))] == ["30-39", "70+"]


def test_without_deviations_their_coverage_has_no_meaning():
    assert summary([person(sd=float("nan"))])["within_1_sd"] is None


def test_calibration_error_is_the_gap_between_confidence_and_being_right():
    confidence = np.array([0.9] * 10)
    assert calibration_error(confidence, np.array([True] * 9 + [False])) == pytest.approx(0)
    assert calibration_error(confidence, np.array([True] * 5 + [False] * 5)) == pytest.approx(0.4)
    mixed = np.concatenate([np.full(5, 1.0), np.full(5, 0.55)])
    assert calibration_error(mixed, np.array([True] * 5 + [False] * 5)) == pytest.approx(0.275)


def test_parts_are_named_and_ordered():
    people = [person(70), person(5), person(12.5, female=False), person(17.9)]
    assert list(by(people, band_of)) == ["0-12", "13-17", "65-200"]
    assert by(people, band_of)["0-12"]["n"] == 2
    assert list(by(people, group_of)) == ["a/female", "a/male"]


def reference():
    if not REFERENCE.is_file():
        pytest.skip("needs ../shared/tools/score.py")
    spec = importlib.util.spec_from_file_location("score", REFERENCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noisy_scenes(seed, count=60):
    """Return labels and predictions with misses, doubles, false alarms, ignored and small faces."""
    random = np.random.default_rng(seed)
    labels, predictions = [], {}
    for number in range(count):
        faces, found = [], []
        for _ in range(random.integers(0, 6)):
            x, y, side = *random.uniform(0, 400, 2), random.uniform(8, 120)
            faces.append({"box": [x, y, side, side * 1.2], "ignore": bool(random.random() < 0.2)})
            for _ in range(random.integers(0, 3)):
                dx, dy = random.normal(0, side * 0.15, 2)
                found.append([x + dx, y + dy, x + dx + side, y + dy + side * 1.2, random.random()])
        for _ in range(random.integers(0, 3)):
            x, y, side = *random.uniform(0, 400, 2), random.uniform(8, 120)
            found.append([x, y, x + side, y + side, random.random()])
        path = f"set/{number}.jpg"
        labels.append({"path": path, "width": 500, "height": 500, "faces": faces})
        predictions[path] = [{"box": row[:4], "score": row[4]} for row in found]
    return labels, predictions


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("min_height", [0.0, 0.04, 0.08, 0.15, 0.9])
def test_average_precision_agrees_with_the_judges_own(seed, min_height):
    labels, predictions = noisy_scenes(seed)
    scenes = [
        Scene(
            entry["height"],
            tuple(
                LabelledBox(Box(x, y, x + w, y + h), face["ignore"])
                for face in entry["faces"]
                for x, y, w, h in [face["box"]]
            ),
            tuple(Detection(Box(*face["box"]), face["score"]) for face in predictions[entry["path"]]),
        )
        for entry in labels
    ]
    expected = reference().average_precision(labels, predictions, min_height)
    assert average_precision(scenes, min_height) == pytest.approx(expected, abs=1.1e-4)
    assert json.dumps(average_precision(scenes, min_height))
