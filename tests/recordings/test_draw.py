"""What is drawn on a picture, and what covering a face leaves of it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agender.imaging.geometry import Box
from edge_agender.recordings.draw import COLOURS, annotate, cover
from edge_agender.recordings.marks import Mark, age_text, gender_text, scaled, shown_gender
from edge_agender.vision.faces import Estimate

FACE = Box(200, 150, 300, 280)


def noise() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (480, 640, 3), np.uint8)


def grey() -> np.ndarray:
    return np.full((480, 640, 3), 90, np.uint8)


def mark(box: Box = FACE, **changes: object) -> Mark:
    return Mark(
        **{"box": box, "lines": ("#1 female 0.94", "34 ± 5 years"), "gender": "female", "standing": "counted"} | changes
    )


def test_a_counted_face_gets_a_box_in_its_genders_colour() -> None:
    picture = grey()
    annotate(picture, [mark()])
    assert tuple(picture[280, 250]) == COLOURS["female"]
    assert (picture[215, 250] == 90).all()


def test_what_is_not_counted_has_corners_only() -> None:
    picture = grey()
    annotate(picture, [mark(standing="left_out", lines=())])
    assert (picture[280, 250] == 90).all()
    assert not (picture[280, 202] == 90).all()


def test_a_covered_face_keeps_no_detail() -> None:
    picture = noise()
    cover(picture, FACE)
    inside = picture[150:280, 200:300]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) <= 36
    assert (picture[:100] == noise()[:100]).all()


def test_blur_covers_every_face_also_those_not_counted() -> None:
    picture = noise()
    annotate(picture, [mark(standing="left_out", lines=())], blur=True)
    middle = picture[190:240, 230:270]
    assert len(np.unique(middle.reshape(-1, 3), axis=0)) <= 16


@pytest.mark.parametrize(
    "box", [Box(-50, -50, 20, 20), Box(630, 470, 700, 600), Box(900, 900, 950, 950), Box(0, 0, 640, 480)]
)
def test_boxes_at_and_beyond_the_edge_are_drawn_as_far_as_they_go(box: Box) -> None:
    picture = grey()
    annotate(picture, [mark(box, aim=(-40.0, 900.0), looking=True)], blur=True)
    assert picture.shape == (480, 640, 3)


def test_captions_of_neighbours_do_not_lie_on_each_other() -> None:
    alone, both = grey(), grey()
    annotate(alone, [mark()])
    annotate(both, [mark(), mark(Box(230, 150, 330, 280))])
    caption = alone[110:149, 200:320]
    assert (both[110:149, 200:320] == caption).mean() > 0.95


def test_words() -> None:
    sure, unsure = Estimate(34.4, 5.2, 0.06), Estimate(20.0, float("nan"), 0.58)
    assert (age_text(sure), gender_text(sure, 0.7), shown_gender(sure, 0.7)) == ("34 ± 5 years", "male 0.94", "male")
    assert (age_text(unsure), gender_text(unsure, 0.7)) == ("20 years", "unknown (female 0.58)")
    assert shown_gender(unsure, 0.7) == shown_gender(None, 0.7) == "unknown"


def test_marks_scale_with_the_picture() -> None:
    (half,) = scaled([mark(aim=(10.0, 20.0))], 0.5)
    assert half.box == Box(100, 75, 150, 140)
    assert half.aim == (5.0, 10.0)
