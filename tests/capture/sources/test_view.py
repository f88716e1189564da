"""Region, rotation and flips: the picture cut first and turned then is the one turned first and cut then."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agender.capture.sources.base import Framer
from edge_agender.capture.sources.view import View, cut
from edge_agender.config.settings import RegionConfig, SourceConfig
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box, angle_deg

WHOLE = Box(0, 0, 1, 1)
# Pixels by which a side may be off: half of one is rounded, and a region of less than one is widened to one.
SLACK_PX = 1.5

turns = st.sampled_from([0, 90, 180, 270])
sides = st.integers(1, 60)


@st.composite
def regions(draw: st.DrawFn) -> RegionConfig:
    x, y = draw(st.floats(0, 0.99)), draw(st.floats(0, 0.99))
    width, height = draw(st.floats(0.01, 1)), draw(st.floats(0.01, 1))
    return RegionConfig(x=x, y=y, width=min(width, 1 - x), height=min(height, 1 - y))


def coordinates(width: int, height: int) -> Picture:
    """Every pixel tells where it is: channel 0 its x, channel 1 its y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)


def turned(raw: Picture, rotate_deg: int, horizontal: bool, vertical: bool) -> Picture:
    """The same by NumPy alone: clockwise, then the flips."""
    picture = np.rot90(raw, -rotate_deg // 90)
    picture = picture[:, ::-1] if horizontal else picture
    return picture[::-1] if vertical else picture


@given(sides, sides, turns, st.booleans(), st.booleans())
def test_the_whole_picture_is_turned_and_then_flipped(
    width: int, height: int, rotate_deg: int, horizontal: bool, vertical: bool
) -> None:
    raw = coordinates(width, height)
    seen = View(rotate_deg=rotate_deg, flip_horizontal=horizontal, flip_vertical=vertical).apply(raw)
    assert (seen == turned(raw, rotate_deg, horizontal, vertical)).all()


@given(sides, sides, turns, st.booleans(), st.booleans(), regions())
def test_the_region_counts_in_the_picture_as_seen(
    width: int, height: int, rotate_deg: int, horizontal: bool, vertical: bool, region: RegionConfig
) -> None:
    raw = coordinates(width, height)
    seen = View(region, rotate_deg, horizontal, vertical).apply(raw)
    whole = turned(raw, rotate_deg, horizontal, vertical)
    # Each pixel of the result says which pixel of the whole it is: a rectangle of it, where the region lies.
    rows, columns = whole.shape[:2]
    found = np.argwhere((whole == seen[0, 0]).all(axis=2))
    assert len(found) == 1
    top, left = (int(value) for value in found[0])
    bottom, right = top + seen.shape[0], left + seen.shape[1]
    assert (seen == whole[top:bottom, left:right]).all()
    assert left == pytest.approx(region.x * columns, abs=SLACK_PX)
    assert top == pytest.approx(region.y * rows, abs=SLACK_PX)
    assert right == pytest.approx((region.x + region.width) * columns, abs=SLACK_PX)
    assert bottom == pytest.approx((region.y + region.height) * rows, abs=SLACK_PX)


@given(turns, st.booleans(), st.booleans(), regions())
def test_the_raw_region_is_a_box_inside_of_the_same_area(
    rotate_deg: int, horizontal: bool, vertical: bool, region: RegionConfig
) -> None:
    box = View(region, rotate_deg, horizontal, vertical).raw_region
    assert -1e-9 <= box.x1 < box.x2 <= 1 + 1e-9
    assert -1e-9 <= box.y1 < box.y2 <= 1 + 1e-9
    assert box.area == pytest.approx(region.width * region.height)


def test_the_upper_left_corner_stays_it_for_the_looker() -> None:
    raw = np.zeros((40, 60, 3), np.uint8)
    raw[:10, 50:] = 255  # upper right; a quarter turn clockwise brings it to the lower right, a flip to the lower left
    region = RegionConfig(x=0, y=50 / 60, width=0.25, height=10 / 60)
    view = View.of(SourceConfig(kind="demo", rotate_deg=90, flip_horizontal=True, region=region))
    seen = view.apply(raw)
    assert seen.shape == (10, 10, 3)
    assert (seen == 255).all()


def test_what_is_not_turned_is_not_copied() -> None:
    raw = coordinates(40, 30)
    assert np.shares_memory(View(RegionConfig(x=0.5, width=0.5)).apply(raw), raw)


@given(sides, sides, regions())
def test_a_cut_holds_a_pixel_at_least(width: int, height: int, region: RegionConfig) -> None:
    parts = Box(region.x, region.y, region.x + region.width, region.y + region.height)
    assert cut(coordinates(width, height), parts).size > 0


def test_the_whole_is_the_whole() -> None:
    raw = coordinates(7, 5)
    assert View().raw_region == WHOLE
    assert cut(raw, WHOLE).shape == raw.shape


def test_a_frame_of_an_unknown_lens_shows_a_typical_ones_angle_across_the_whole_picture() -> None:
    raw = np.zeros((480, 640, 3), np.uint8)
    whole = Framer(SourceConfig(kind="demo")).frame(raw, 0.0)
    half = Framer(SourceConfig(kind="demo", region=RegionConfig(x=0.25, width=0.5))).frame(raw, 0.0)
    turned = Framer(SourceConfig(kind="demo", rotate_deg=90)).frame(raw, 0.0)
    angles = [angle_deg(each.full.shape[1], each.focal_px or 0) for each in (whole, half, turned)]
    assert angles == pytest.approx([62.0, 33.4, 48.5], abs=0.1)
