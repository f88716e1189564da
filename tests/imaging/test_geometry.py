import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agender.imaging.geometry import Box, angle_deg, clip, focal_px, iou, square

coordinates = st.floats(-1e4, 1e4)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), coordinates, coordinates, st.floats(1, 1e3), st.floats(1, 1e3)
)


def test_iou_of_known_pairs() -> None:
    table = iou([Box(0, 0, 2, 2), Box(5, 5, 6, 6)], [Box(1, 0, 3, 2), Box(0, 0, 2, 2)])
    assert np.allclose(table, [[1 / 3, 1], [0, 0]])


def test_iou_of_nothing_is_an_empty_table() -> None:
    assert iou([], [Box(0, 0, 1, 1)]).shape == (0, 1)


@given(boxes, boxes)
def test_iou_is_a_symmetric_share(a: Box, b: Box) -> None:
    value = iou([a], [b])[0, 0]
    assert 0 <= value <= 1 + 1e-9
    assert value == pytest.approx(iou([b], [a])[0, 0])


@given(boxes)
def test_clip_stays_inside_or_says_none(box: Box) -> None:
    inside = clip(box, 640, 480)
    if inside is not None:
        assert 0 <= inside.x1 < inside.x2 <= 640
        assert 0 <= inside.y1 < inside.y2 <= 480


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_clip_refuses_what_is_no_number(bad: float) -> None:
    assert clip(Box(bad, 0, 10, 10), 640, 480) is None or bad == -math.inf


@given(boxes, st.floats(0, 1))
def test_square_is_square_round_the_same_centre(box: Box, margin: float) -> None:
    area = square(box, margin)
    assert area.width == pytest.approx(area.height)
    assert area.width == pytest.approx(max(box.width, box.height) * (1 + 2 * margin))
    assert area.centre == pytest.approx(box.centre)


def test_a_right_angle_shows_twice_the_focal_length_across() -> None:
    assert focal_px(100, 90) == pytest.approx(50)
    assert angle_deg(100, 50) == pytest.approx(90)


@given(st.floats(1, 1e4), st.floats(1.5, 178.5))
def test_angles_and_focal_lengths_say_the_same(width_px: float, degrees: float) -> None:
    assert angle_deg(width_px, focal_px(width_px, degrees)) == pytest.approx(degrees)
