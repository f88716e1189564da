"""From pictures to what the networks see. Training imports these functions: there is one way to crop a face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.geometry import Box, square

# From video's luma, 16 (black) to 235 (white), to 0..255: look it up.
FULL_RANGE = np.clip((np.arange(256) - 16) * 255 / 219, 0, 255).round().astype(np.uint8)
# Luma of what lies outside the picture when its aspect ratio is not the network's: mid grey, neither dark nor light.
LETTERBOX_LUMA = 114


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


def forget(between: Array, *kept: Array) -> None:
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


def small_luma(image_bgr: Picture, size: tuple[int, int]) -> Picture:
    """Return the luma of the picture, scaled to fit inside (width, height) with its aspect ratio kept."""
    # Shrink first: converting the full picture to grey would cost more than all the rest.
    scaled = resize(image_bgr, size_within(image_bgr.shape[1::-1], size))
    luma = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2GRAY), np.uint8)
    forget(scaled, image_bgr)
    return luma


def letterbox(luma: Picture, size: tuple[int, int]) -> tuple[Picture, float]:
    """Fit a luma picture (h, w) into the top left of a (height, width) canvas.

    Returns the canvas and the network pixels per picture pixel. A picture of the right size is passed on uncopied.
    """
    width, height = size
    if luma.shape == (height, width):
        return luma, 1.0
    factor = min(width / luma.shape[1], height / luma.shape[0])
    fitted = (max(round(luma.shape[1] * factor), 1), max(round(luma.shape[0] * factor), 1))
    canvas = np.full((height, width), LETTERBOX_LUMA, np.uint8)
    scaled = resize(luma, fitted)
    canvas[: fitted[1], : fitted[0]] = scaled
    forget(scaled, luma)
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
    forget(scaled, inside)
    return padded


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
