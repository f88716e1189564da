from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agender.imaging.frame import Array
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import ARCFACE_PLACES, align_face, crop_face, letterbox, resize, small_luma, to_bgr
from edge_agender.inference.encode import picture_values, pixels
from edge_agender.inference.spec import InputSpec


def gradient(height: int, width: int) -> np.ndarray:
    x = np.linspace(0, 255, width, dtype=np.float32)
    return np.repeat(np.repeat(x[None, :, None], height, 0), 3, 2).astype(np.uint8)


def test_a_crop_holds_the_square_round_the_box() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[80:120, 80:120] = 255
    crop = crop_face(image, Box(80, 80, 120, 120), 64, margin=0.5)
    assert crop.shape == (64, 64, 3)
    assert (crop[18:46, 18:46] == 255).all()
    assert (crop[:14] == 0).all()


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (480, 640)])
def test_any_picture_gives_a_crop(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 77, np.uint8)
    assert (crop_face(image, Box(0, 0, size[1], size[0]), 64, 0.2) == 77).all()


def test_what_lies_outside_repeats_the_edge() -> None:
    image = np.full((100, 100, 3), 10, np.uint8)
    image[:, :5] = 200
    crop = crop_face(image, Box(-20, 30, 20, 70), 64, 0.0)
    assert (crop[:, :30] == 200).all()
    assert (crop[:, 42:] == 10).all()


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.7])
@pytest.mark.parametrize("turn_deg", [0, 30, -100])
def test_an_aligned_face_has_its_landmarks_where_arcface_has_them(scale: float, turn_deg: float) -> None:
    angle = np.deg2rad(turn_deg)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (ARCFACE_PLACES - 56) @ turn.T + (300, 260)
    image = np.zeros((600, 640, 3), np.uint8)
    for x, y in landmarks:
        cv2.circle(image, (round(x), round(y)), max(round(4 * scale), 1), (255, 255, 255), -1)
    crop = align_face(image, landmarks.tolist(), 112)
    assert crop.shape == (112, 112, 3)
    for x, y in ARCFACE_PLACES:
        assert crop[round(y), round(x), 0] > 200
    assert crop.mean() < 15


def test_an_aligned_face_at_the_picture_s_edge_repeats_the_edge() -> None:
    image = np.full((100, 100, 3), 90, np.uint8)
    assert (align_face(image, (ARCFACE_PLACES - 60).tolist(), 112) == 90).all()


def test_landmarks_in_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="one point"):
        align_face(np.zeros((50, 50, 3), np.uint8), [(20.0, 20.0)] * 5, 112)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """Every picture that OpenCV makes, as it is made."""
    pictures: list[Array] = []

    def recorded(work: Callable[..., Array]) -> Callable[..., Array]:
        def call(*args: Any, **options: Any) -> Array:
            pictures.append(work(*args, **options))
            return pictures[-1]

        return call

    for name in ("resize", "cvtColor", "copyMakeBorder"):
        monkeypatch.setattr(cv2, name, recorded(getattr(cv2, name)))
    return pictures


BRIGHT = np.full((300, 400, 3), 200, np.uint8)


@pytest.mark.parametrize(
    "make",
    [
        lambda picture: crop_face(picture, Box(-40, -40, 200, 200), 64, 0.2),
        lambda picture: crop_face(picture, Box(40, 40, 290, 290), 64, 0.2),
        lambda picture: small_luma(picture, (320, 240)),
        lambda picture: letterbox(picture[:, :, 0], (160, 160))[0],
        lambda picture: pixels(picture, InputSpec(size=(100, 70), colour="rgb")),
        lambda picture: pixels(picture, InputSpec(size=(100, 70), colour="grey")),
        lambda picture: picture_values(picture, InputSpec(size=(100, 70), colour="bgr", scale="unit")),
    ],
)
def test_steps_on_the_way_are_overwritten_and_nothing_else(make: Callable[[Array], Array], made: list[Array]) -> None:
    picture = BRIGHT.copy()
    result = make(picture)
    assert result.any()
    assert (picture == BRIGHT).all()
    assert made
    assert not any(step.any() for step in made if not np.may_share_memory(step, result))


def test_a_box_beside_the_picture_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not touch"):
        crop_face(np.zeros((10, 10, 3), np.uint8), Box(50, 50, 60, 60))


@pytest.mark.parametrize("shift", [0.0, 7.3, -12.6])
def test_crops_move_with_the_box(shift: float) -> None:
    image = gradient(200, 400)
    still, moved = (crop_face(image, Box(150 + d, 60, 230 + d, 140), 64, 0.1).mean() for d in (0.0, shift))
    assert moved - still == pytest.approx(255 / 399 * shift, abs=0.8)


def test_letterbox_keeps_the_aspect_and_says_its_scale() -> None:
    luma = np.full((100, 50), 200, np.uint8)
    canvas, factor = letterbox(luma, (320, 240))
    assert canvas.shape == (240, 320)
    assert factor == pytest.approx(2.4)
    assert (canvas[:, :120] == 200).all()
    assert (canvas[:, 121:] == 114).all()


def test_letterbox_passes_a_fitting_picture_on_uncopied() -> None:
    luma = np.zeros((240, 320), np.uint8)
    assert letterbox(luma, (320, 240))[0] is luma


@pytest.mark.parametrize(("height", "width"), [(960, 1280), (1280, 960), (1, 1), (10, 4000)])
def test_small_luma_fits_and_keeps_the_aspect(height: int, width: int) -> None:
    small = small_luma(np.full((height, width, 3), 100, np.uint8), (320, 240))
    assert small.ndim == 2
    assert small.shape[0] <= 240
    assert small.shape[1] <= 320
    assert 240 in small.shape or 320 in small.shape
    assert (small == 100).all()


def test_grey_and_four_channels_become_bgr() -> None:
    for picture in (np.full((4, 5), 9, np.uint8), np.full((4, 5, 1), 9, np.uint8), np.full((4, 5, 4), 9, np.uint8)):
        assert to_bgr(picture).shape == (4, 5, 3)
        assert (to_bgr(picture) == 9).all()


def test_shrinking_averages() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    assert abs(int(resize(stripes, (16, 16)).mean()) - 127) <= 1


def test_a_crop_is_never_a_part_of_the_picture() -> None:
    picture = np.full((100, 100, 3), 9, np.uint8)
    crop = crop_face(picture, Box(18, 18, 82, 82), 64, 0.0)
    assert crop.shape == (64, 64, 3)
    assert not np.may_share_memory(crop, picture)
