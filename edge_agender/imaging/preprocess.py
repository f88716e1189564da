"""From pictures to what the networks see. Training imports these functions: there is one way to crop a face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.geometry import Box, square

# From video's luma, 16 (black) to 235 (white), to 0..255: look it up.
FULL_RANGE = np.clip((np.arange(256) - 16) * 255 / 219, 0, 255).round().astype(np.uint8)
# Luma of what lies outside the picture when its aspect ratio is not the network's: mid grey, neither dark nor light.
LETTERBOX_LUMA = 114
# Where ArcFace's pictures of 112 pixels have eyes, nose and corners of the mouth.
ARCFACE_PLACES = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def resize(image: Picture, size: tuple[int, int]) -> Picture:
    """Scale to (width, height): averaging when shrinking, so that no pixel is skipped; linear when growing."""
    width, height = size
    given = image
    # Halving has a kernel of its own in OpenCV: together with a small last step it is four to eight times as fast as
    # averaging at once, and the same picture within the rounding of odd sides (docs/performance.md).
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        even = image.shape[1] % 2 == image.shape[0] % 2 == 0
        halved = cv2.resize(image, half, interpolation=cv2.INTER_AREA if even else cv2.INTER_LINEAR)
        if image is not given:
            image.fill(0)
        image = np.asarray(halved, np.uint8)
    if image.shape[1::-1] == (width, height):
        return image
    shrinks = image.shape[1] > width or image.shape[0] > height
    out = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if image is not given:
        image.fill(0)
    return np.asarray(out, np.uint8)


def wipe(between: Array, *kept: Array) -> None:
    """Overwrite a picture that was only a step on the way, unless it is a view of what is kept: nobody else would."""
    for each in kept:
        if between is each or np.may_share_memory(between, each):
            return
    between.fill(0)


def to_bgr(image: Picture) -> Picture:
    """Return (H, W, 3) B, G, R from a grey, B, G, R or B, G, R, A picture."""
    if image.ndim == 2 or image.shape[2] == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    if image.shape[2] == 4:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), np.uint8)
    return image


def size_within(picture_px: Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (width, height) inside `size` that has the aspect ratio of (width, height) `picture_px`."""
    width, height = picture_px
    factor = min(size[0] / width, size[1] / height)
    return max(round(width * factor), 1), max(round(height * factor), 1)


def small_picture(image_bgr: Picture, size: tuple[int, int]) -> Picture:
    """Return the picture scaled to fit inside (width, height) with its aspect ratio kept; itself where it does so."""
    return resize(image_bgr, size_within(image_bgr.shape[1::-1], size))


def luma_of(image_bgr: Picture) -> Picture:
    """Return the picture's luma (h, w)."""
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY), np.uint8)


def small_luma(image_bgr: Picture, size: tuple[int, int]) -> Picture:
    """Return the luma of the picture, scaled to fit inside (width, height) with its aspect ratio kept."""
    # Shrink first: converting the full picture to grey would cost more than all the rest.
    scaled = small_picture(image_bgr, size)
    luma = luma_of(scaled)
    wipe(scaled, image_bgr)
    return luma


def letterbox(picture: Picture, size: tuple[int, int]) -> tuple[Picture, float]:
    """Fit a luma or B, G, R picture (h, w) or (h, w, 3) into the top left of a (height, width) canvas.

    Returns the canvas and the network pixels per picture pixel. A picture of the right size is passed on uncopied.
    """
    width, height = size
    if picture.shape[:2] == (height, width):
        return picture, 1.0
    factor = min(width / picture.shape[1], height / picture.shape[0])
    fitted = (max(round(picture.shape[1] * factor), 1), max(round(picture.shape[0] * factor), 1))
    canvas = np.full((height, width, *picture.shape[2:]), LETTERBOX_LUMA, np.uint8)
    scaled = resize(picture, fitted)
    canvas[: fitted[1], : fitted[0]] = scaled
    wipe(scaled, picture)
    return canvas, factor


def crop_face(image_bgr: Picture, box: Box, size: int = 64, margin: float = 0.25) -> Picture:
    """Cut the square round a face out of the full picture, scaled to (size, size, 3), B, G, R.

    `margin` as in geometry.square. What lies outside the picture repeats its nearest edge. Never a view of the picture.
    Raises ValueError for a box that does not touch the picture.
    """
    height, width = image_bgr.shape[:2]
    area = square(box, margin)
    x1, y1 = round(area.x1), round(area.y1)
    side = max(round(area.width), 1)
    x2, y2 = x1 + side, y1 + side
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        raise ValueError(f"box {tuple(box)} does not touch the {width}x{height} picture")
    inside = image_bgr[max(y1, 0) : min(y2, height), max(x1, 0) : min(x2, width)]
    # Scale before padding: the border of a close face would otherwise be padded at full size only to be shrunk.
    factor = size / side
    left, top = round(max(-x1, 0) * factor), round(max(-y1, 0) * factor)
    right, bottom = round(max(x2 - width, 0) * factor), round(max(y2 - height, 0) * factor)
    fitted = (max(size - left - right, 1), max(size - top - bottom, 1))
    left, top = min(left, size - fitted[0]), min(top, size - fitted[1])
    scaled = resize(inside, fitted)
    if fitted == (size, size):
        return scaled.copy() if scaled is inside else scaled
    pad = (top, size - fitted[1] - top, left, size - fitted[0] - left)
    padded = np.asarray(cv2.copyMakeBorder(scaled, *pad, borderType=cv2.BORDER_REPLICATE), np.uint8)
    wipe(scaled, inside)
    return padded


def align_face(image_bgr: Picture, landmarks: Sequence[tuple[float, float]], size: int = 112) -> Picture:
    """Turn, scale and shift a face so that its five landmarks come to lie where ArcFace has them (Deng et al., 2019).

    `landmarks`: both eyes, nose, both corners of the mouth, the person's right one first, in pixels of the picture.
    Returns (size, size, 3) B, G, R; what lies outside the picture repeats its nearest edge. Never a view of the
    picture. Raises ValueError where all landmarks are one point.
    """
    turn, shift = _similarity(np.asarray(landmarks, np.float64), ARCFACE_PLACES * (size / 112))
    scale = float(np.hypot(*turn[:, 0]))
    height, width = image_bgr.shape[:2]
    # What only turns and scales is inverted so. LAPACK would wake a thread that spins: ten times a frame's CPU.
    corners = (np.array([[0, 0], [size, 0], [0, size], [size, size]]) - shift) @ (turn / scale**2)
    x1, y1 = np.clip(np.floor(corners.min(0)).astype(int) - 1, 0, (width - 1, height - 1))
    x2, y2 = np.clip(np.ceil(corners.max(0)).astype(int) + 1, (x1 + 1, y1 + 1), (width, height))
    part = image_bgr[y1:y2, x1:x2]
    shift = turn @ (x1, y1) + shift
    # The warp takes single pixels: average first what it would skip.
    shrink = max(int(1 / scale), 1)
    small = part
    if shrink > 1:
        small = resize(part, (max(part.shape[1] // shrink, 1), max(part.shape[0] // shrink, 1)))
        factors = np.array([part.shape[1] / small.shape[1], part.shape[0] / small.shape[0]])
        shift, turn = turn @ ((factors - 1) / 2) + shift, turn * factors
    matrix = np.column_stack([turn, shift])
    out = cv2.warpAffine(small, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    wipe(small, part)
    return np.asarray(out, np.uint8)


_Matrix: TypeAlias = NDArray[np.float64]


def _similarity(given: _Matrix, wanted: _Matrix) -> tuple[_Matrix, _Matrix]:
    """Return the rotation with scale (2, 2) and the shift (2,) that bring points nearest to others (Umeyama, 1991)."""
    a, b = given - given.mean(0), wanted - wanted.mean(0)
    spread = float((a**2).sum())
    if spread < 1e-6:
        raise ValueError("the landmarks are one point")
    along, across = float((a * b).sum()) / spread, float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    turn = np.array([[along, -across], [across, along]])
    return turn, wanted.mean(0) - turn @ given.mean(0)


def remargined(crop: Picture, margin: float, wanted: float) -> Picture:
    """Return the crop (n, n) as if cut with another margin: a view of its middle, or with its edges repeated."""
    if margin == wanted:
        return crop
    side = crop.shape[0]
    change = round(side * (1 + 2 * wanted) / (1 + 2 * margin) - side) // 2
    if change > 0:
        wider = cv2.copyMakeBorder(crop, change, change, change, change, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(wider, np.uint8)
    return crop[-change : side + change, -change : side + change]


def mirrored(crop: Picture) -> Picture:
    """Return the crop's mirror image: the same person, whose estimate errs a little differently."""
    return np.asarray(cv2.flip(crop, 1), np.uint8)
