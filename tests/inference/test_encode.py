import cv2
import numpy as np
import pytest

from edge_agender.inference.encode import as_tensor, picture_values
from edge_agender.inference.spec import InputSpec

PIXELS = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def values(picture=PIXELS, **scaling):
    return picture_values(picture, InputSpec(size=(8, 8), **{"colour": "bgr"} | scaling))


def test_none_leaves_pixels_as_they_are():
    assert values().dtype == np.float32
    np.testing.assert_array_equal(values(), PIXELS)


def test_colour_orders():
    np.testing.assert_array_equal(values(colour="rgb"), PIXELS[:, :, ::-1])
    np.testing.assert_array_equal(values(colour="grey")[:, :, 0], cv2.cvtColor(PIXELS, cv2.COLOR_BGR2GRAY))


def test_a_grey_picture_serves_every_colour():
    grey = PIXELS[:, :, 0].copy()
    for colour, channels in (("bgr", 3), ("rgb", 3), ("grey", 1)):
        out = values(grey, colour=colour)
        assert out.shape == (8, 8, channels)
        np.testing.assert_array_equal(out[:, :, -1], grey)


def test_unit_and_symmetric_reach_both_ends():
    ends = np.zeros((8, 8, 3), np.uint8)
    ends[0] = 255
    assert (values(ends, scale="unit").min(), values(ends, scale="unit").max()) == (0.0, 1.0)
    assert (values(ends, scale="symmetric").min(), values(ends, scale="symmetric").max()) == (-1.0, 1.0)


def test_mean_follows_the_networks_own_order_of_colours():
    out = values(colour="rgb", scale="mean", mean=(123, 117, 104), divide=(2,))
    np.testing.assert_allclose(out[:, :, 0], (PIXELS[:, :, 2] - 123.0) / 2, rtol=1e-6)
    np.testing.assert_allclose(out[:, :, 2], (PIXELS[:, :, 0] - 104.0) / 2, rtol=1e-6)


def test_minmax_is_what_opencv_does():
    dull = (PIXELS // 4 + 60).astype(np.uint8)
    expected = cv2.normalize(dull.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX)
    np.testing.assert_allclose(values(dull, scale="minmax"), expected, atol=1e-3)


@pytest.mark.parametrize("scale", ["minmax", "standardize"])
def test_a_flat_crop_is_no_division_by_zero(scale):
    with np.errstate(all="raise"):
        assert (values(np.full((8, 8, 3), 77, np.uint8), scale=scale) == 0).all()


def test_standardize_has_mean_zero_and_deviation_one():
    out = values(scale="standardize")
    assert out.mean() == pytest.approx(0, abs=1e-5)
    assert out.std() == pytest.approx(1, abs=1e-5)


def test_a_picture_of_another_size_is_scaled_to_width_by_height():
    tall = InputSpec(size=(60, 80), colour="grey")
    assert picture_values(PIXELS, tall).shape == (80, 60, 1)


def test_layouts():
    out = values()
    np.testing.assert_array_equal(as_tensor(out, "nhwc")[0], out)
    np.testing.assert_array_equal(as_tensor(out, "nchw")[0, 1], out[:, :, 1])
    assert as_tensor(out, "nchw").flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": "mean"},
        {"scale": "unit", "mean": (1,)},
        {"scale": "mean", "mean": (1, 2)},
        {"scale": "mean", "mean": (1,), "divide": (0,)},
        {"size": (0, 8)},
        {"colour": "purple"},
        {"margin": 9},
    ],
)
def test_impossible_descriptions_are_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        InputSpec(**{"size": (8, 8), "colour": "bgr"} | wrong)
