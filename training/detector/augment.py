"""What a camera, a lamp, a hand or a head's tilt could make of a picture."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture


def photometric(bgr: Picture, rng: np.random.Generator) -> Picture:
    """Return the canvas with other colours, exposure, light, focus, noise, compression; some are left as they are."""
    bgr = _coloured(bgr, rng)
    if rng.random() < 0.4:
        return bgr
    if rng.random() < 0.2:
        bgr = _light(bgr, rng)
    bgr = cv2.LUT(bgr, _curve(rng))
    if rng.random() < 0.25:
        bgr = _blur(bgr, rng)
    if rng.random() < 0.25:
        bgr = _noise(bgr, rng)
    if rng.random() < 0.15:
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 85))])
        bgr = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return bgr


def _coloured(bgr: Picture, rng: np.random.Generator) -> Picture:
    """Grey as an infrared camera's, less or more colour, or the tint of a lamp."""
    kind = rng.random()
    if kind < 0.5:
        return bgr
    if kind < 0.75:
        grey = cv2.cvtColor(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        amount = 0.0 if kind < 0.62 else float(rng.uniform(0.2, 1.5))
        return grey if amount == 0 else np.asarray(cv2.addWeighted(bgr, amount, grey, 1 - amount, 0), np.uint8)
    gains = np.exp(rng.normal(0, 0.12, 3))
    table = np.clip(np.arange(256)[:, None] * gains[None], 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(bgr, table[None]), np.uint8)


def _curve(rng: np.random.Generator) -> Picture:
    """Return a table of 256 levels: gamma (dark or bright), contrast and offset."""
    levels = np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.35))
    gain = np.exp(rng.normal(0, 0.2)) * (rng.uniform(0.15, 0.6) if rng.random() < 0.12 else 1.0)
    return np.clip((levels - 0.5) * 255 * gain + 127.5 * min(gain, 1.0) + rng.normal(0, 12), 0, 255).astype(np.uint8)


def _light(bgr: Picture, rng: np.random.Generator) -> Picture:
    """A slope of light across the canvas, or a bright window behind everything (backlight)."""
    height, width = bgr.shape[:2]
    small = rng.uniform(0.25, 1.6, (3, 4)).astype(np.float32)
    light = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(bgr * light[..., None], 0, 255).astype(np.uint8)


def _blur(bgr: Picture, rng: np.random.Generator) -> Picture:
    """Out of focus, or moved while the shutter was open: along any line, by up to nine pixels."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(bgr, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    length, angle = int(rng.integers(2, 10)), rng.uniform(0, np.pi)
    kernel = np.zeros((length | 1, length | 1), np.float32)
    middle = length // 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    first, last = (tuple(int(v) for v in np.rint(middle + sign * reach)) for sign in (-1, 1))
    cv2.line(kernel, first, last, 1.0)
    return np.asarray(cv2.filter2D(bgr, -1, kernel / kernel.sum()), np.uint8)


def _noise(bgr: Picture, rng: np.random.Generator) -> Picture:
    """Grain of brightness, a sensor's in the dark."""
    noise = rng.integers(-127, 128, bgr.shape[:2], np.int8).astype(np.int16)
    return np.clip(bgr + (noise * rng.integers(1, 26) >> 7)[..., None], 0, 255).astype(np.uint8)


def turned(bgr: Picture, matrix: Array, fill: int) -> Picture:
    """Return the canvas under an affine map (2, 3); what comes from outside is the border's colour or `fill`."""
    height, width = bgr.shape[:2]
    warped = cv2.warpAffine(bgr, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(fill,) * 3)
    return np.asarray(warped, np.uint8)


def occlude(bgr: Picture, boxes: Array, rng: np.random.Generator) -> None:
    """Cover part of some larger faces: a mask or scarf, dark glasses, a hat, or a hand at one side; in place."""
    for x1, y1, x2, y2 in boxes[boxes[:, 3] - boxes[:, 1] >= 24]:
        if rng.random() > 0.4:
            continue
        w, h = x2 - x1, y2 - y1
        kind, colour = rng.integers(4), rng.integers(0, 256, 3)
        if kind == 0:
            area = (x1, y1 + h * rng.uniform(0.52, 0.7), x2, y2)
        elif kind == 1:
            middle = y1 + h * rng.uniform(0.33, 0.45)
            area, colour = (x1 + 0.05 * w, middle - 0.1 * h, x2 - 0.05 * w, middle + 0.1 * h), colour // 4
        elif kind == 2:
            area = (x1 - 0.1 * w, y1 - 0.2 * h, x2 + 0.1 * w, y1 + h * rng.uniform(0.1, 0.28))
        else:
            side = x1 + w * rng.uniform(0.55, 0.8)
            area = (side, y1, x2, y2) if rng.random() < 0.5 else (x1, y1, x1 + x2 - side, y2)
        a, b, c, d = (max(int(v), 0) for v in area)
        patch = bgr[b:d, a:c]
        if patch.size:
            patch[:] = np.clip(rng.integers(-12, 13, patch.shape) + colour, 0, 255)


def texture(bgr: Picture, rng: np.random.Generator) -> None:
    """Fill the canvas, in place, with what is not a face: a flat tone, clouds of some grain, stripes, or shapes."""
    height, width = bgr.shape[:2]
    kind = rng.integers(4)
    if kind == 0:
        bgr[:] = rng.integers(0, 256, 3)
    elif kind == 1:
        grain = int(rng.integers(2, 40))
        small = rng.integers(0, 256, (max(height // grain, 2), max(width // grain, 2), 3), np.uint8)
        bgr[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    elif kind == 2:
        wave = (
            np.sin(np.arange(width) * rng.uniform(0.02, 1.0))[None]
            + np.sin(np.arange(height) * rng.uniform(0.02, 1))[:, None]
        )
        bgr[:] = np.clip(127 + 60 * wave[..., None] * rng.uniform(0.3, 1, 3), 0, 255)
    else:
        bgr[:] = rng.integers(0, 256, 3)
        for _ in range(int(rng.integers(5, 60))):
            _shape(bgr, rng)


def _shape(bgr: Picture, rng: np.random.Generator) -> None:
    """Draw one ellipse or rectangle, in place."""
    height, width = bgr.shape[:2]
    x, y = int(rng.integers(width)), int(rng.integers(height))
    axes = (int(rng.integers(2, 60)), int(rng.integers(2, 60)))
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    drawn = np.ascontiguousarray(bgr)
    if rng.random() < 0.5:
        cv2.ellipse(drawn, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    else:
        cv2.rectangle(drawn, (x, y), (x + axes[0], y + axes[1]), colour, -1)
    bgr[:] = drawn
