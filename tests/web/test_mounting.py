from dataclasses import replace

import pytest

from edge_agender.web.mounting import check, grade
from tests.support.snapshots import GOOD_FACE, POOR_FACE


def verdicts(*faces: object) -> dict[str, str]:
    return {rule.name: rule.verdict for rule in check(faces)}  # type: ignore[arg-type]


def test_a_well_mounted_camera_breaks_no_rule() -> None:
    assert set(verdicts(GOOD_FACE).values()) == {"ok"}


def test_without_anybody_nothing_is_known() -> None:
    assert set(verdicts().values()) == {"unknown"}


@pytest.mark.parametrize(
    ("change", "rule", "verdict"),
    [
        ({"size_px": 23.9}, "size", "failure"),
        ({"size_px": 24.0}, "size", "warning"),
        ({"top": 0.0, "height": 0.2}, "tilt", "failure"),
        ({"top": 0.7}, "tilt", "failure"),
        ({"left": 0.0}, "frame", "warning"),
        ({"left": 0.85}, "frame", "warning"),
        ({"looking": False}, "height", "warning"),
        ({"looking": None}, "height", "unknown"),
        ({"light": 0.1}, "light", "warning"),
        ({"light": 0.95}, "light", "warning"),
        ({"sharpness": 0.1}, "sharpness", "warning"),
    ],
)
def test_each_fault_breaks_its_rule(change: dict[str, float], rule: str, verdict: str) -> None:
    assert verdicts(replace(GOOD_FACE, **change))[rule] == verdict  # type: ignore[arg-type]


def test_the_worst_face_decides_and_one_looking_is_enough() -> None:
    found = verdicts(GOOD_FACE, POOR_FACE)
    assert found["size"] == "failure"
    assert found["height"] == "ok"


def test_a_face_is_graded_for_its_outlines() -> None:
    assert grade(GOOD_FACE) == {"size": "ok", "light": "ok", "sharpness": "ok"}
    assert grade(POOR_FACE) == {"size": "failure", "light": "warning", "sharpness": "warning"}
