"""Directions of heads that were turned by known angles, drawn to five points."""

import math

import numpy as np
import pytest

from edge_agender.vision.head_pose import HEAD, head_pose


def seen(yaw=0.0, pitch=0.0, roll=0.0, scale=24.0, centre=(160.0, 120.0)):
    """Return the five points of a head: pitched first, then turned, then tilted."""
    a, b, c = (math.radians(angle) for angle in (yaw, pitch, roll))
    about_x = np.array([[1, 0, 0], [0, math.cos(b), math.sin(b)], [0, -math.sin(b), math.cos(b)]])
    about_y = np.array([[math.cos(a), 0, -math.sin(a)], [0, 1, 0], [math.sin(a), 0, math.cos(a)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    turned = np.asarray(HEAD) @ (about_z @ about_y @ about_x).T
    return [(centre[0] + scale * x, centre[1] + scale * y) for x, y, _ in turned]


@pytest.mark.parametrize("yaw", [-75, -30, 0, 20, 60])
@pytest.mark.parametrize("pitch", [-30, 0, 25])
@pytest.mark.parametrize("roll", [-40, 0, 15])
def test_a_turned_head_is_measured_as_it_was_turned(yaw, pitch, roll):
    assert head_pose(seen(yaw, pitch, roll)) == pytest.approx((yaw, pitch, roll), abs=1e-6)


def test_neither_place_nor_size_changes_the_direction():
    near = head_pose(seen(25, -10, 5, scale=80, centre=(20, 300)))
    assert near == pytest.approx(head_pose(seen(25, -10, 5, scale=9)))


def test_a_nose_to_the_pictures_right_is_a_positive_yaw_and_one_higher_up_a_positive_pitch():
    points = seen()
    x, y = points[2]
    assert head_pose([*points[:2], (x + 6, y), *points[3:]]).yaw_deg > 10
    assert head_pose([*points[:2], (x, y - 6), *points[3:]]).pitch_deg > 10


def test_a_mirrored_head_looks_the_other_way():
    there, _, tilt = head_pose(seen(33, 8, 12))
    points = [(320 - x, y) for x, y in seen(33, 8, 12)]
    mirrored = head_pose([points[i] for i in (1, 0, 2, 4, 3)])
    assert mirrored == pytest.approx((-there, 8, -tilt))


@pytest.mark.parametrize("points", [[(5.0, 5.0)] * 5, [(float(i), 2.0 * i) for i in range(5)]])
def test_points_that_make_no_face_have_no_direction(points):
    assert head_pose(points) is None


@pytest.mark.parametrize("turn", [-3, 3])
def test_a_narrow_face_is_turned_far_though_its_nose_says_little(turn):
    points = [(160 + 0.45 * (x - 160), y) for x, y in seen(yaw=turn)]
    yaw = head_pose(points).yaw_deg
    assert abs(yaw) > 33
    assert yaw * turn > 0


def test_a_broad_face_is_not_turned_for_that():
    points = [(160 + 1.3 * (x - 160), y) for x, y in seen(yaw=5)]
    assert abs(head_pose(points).yaw_deg) < 10
