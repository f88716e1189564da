"""Changes to a luma canvas that a camera, a lens, a lamp or a hand could make."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture


def photometric(luma: Picture, rng: np.random.Generator) -> Picture:
    """Return the canvas with another exposure, light, focus, noise and compression; some are left as they are."""
    if rng.random() < 0.2:
        return luma
    if rng.random() < 0.25:
        luma = _light(luma, rng)
    luma = cv2.LUT(luma, _curve(rng))
    if rng.random() < 0.2:
        luma = _blur(luma, rng)
    if rng.random() < 0.25:
        noise = rng.integers(-127, 128, luma.shape, np.int8).astype(np.int16)
        luma = np.clip(luma + (noise * rng.integers(1, 26) >> 7), 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        _, data = cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 85))])
        luma = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    return luma


def _curve(rng: np.random.Generator) -> Picture:
    """Return a table of 256 levels: gamma (dark or bright), contrast and offset."""
    levels = np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.35))
    gain = np.exp(rng.normal(0, 0.2)) * (rng.uniform(0.15, 0.6) if rng.random() < 0.12 else 1.0)
    return np.clip((levels - 0.5) * 255 * gain + 127.5 * min(gain, 1.0) + rng.normal(0, 12), 0, 255).astype(np.uint8)


def _light(luma: Picture, rng: np.random.Generator) -> Picture:
    """A slope of light across the canvas, or a bright window behind everything (backlight)."""
    height, width = luma.shape
    small = rng.uniform(0.25, 1.6, (3, 4)).astype(np.float32)
    return np.clip(luma * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def _blur(luma: Picture, rng: np.random.Generator) -> Picture:
    if rng.random() < 0.5:
        return cv2.GaussianBlur(luma, (0, 0), rng.uniform(0.4, 1.6))
    length = int(rng.integers(2, 6))
    return cv2.blur(luma, (length, 1) if rng.random() < 0.5 else (1, length))


def occlude(luma: Picture, boxes: Array, rng: np.random.Generator) -> None:
    """Cover part of some larger faces: a mask or scarf, dark glasses, a hat, or a hand at one side; in place."""
    for x1, y1, x2, y2 in boxes[boxes[:, 3] - boxes[:, 1] >= 24]:
        if rng.random() > 0.4:
            continue
        w, h = x2 - x1, y2 - y1
        kind, shade = rng.integers(4), int(rng.integers(0, 256))
        if kind == 0:
            area = (x1, y1 + h * rng.uniform(0.52, 0.7), x2, y2)
        elif kind == 1:
            middle = y1 + h * rng.uniform(0.33, 0.45)
            area, shade = (x1 + 0.05 * w, middle - 0.1 * h, x2 - 0.05 * w, middle + 0.1 * h), shade // 3
        elif kind == 2:
            area = (x1 - 0.1 * w, y1 - 0.2 * h, x2 + 0.1 * w, y1 + h * rng.uniform(0.1, 0.28))
        else:
            side = x1 + w * rng.uniform(0.55, 0.8)
            area = (side, y1, x2, y2) if rng.random() < 0.5 else (x1, y1, x1 + x2 - side, y2)
        a, b, c, d = (max(int(v), 0) for v in area)
        patch = luma[b:d, a:c]
        if patch.size:
            patch[:] = np.clip(rng.integers(-12, 13, patch.shape) + shade, 0, 255)


def texture(luma: Picture, rng: np.random.Generator) -> None:
    """Fill the canvas, in place, with what is not a face: a flat tone, clouds of some grain, stripes, or shapes."""
    height, width = luma.shape
    kind = rng.integers(4)
    if kind == 0:
        luma[:] = rng.integers(0, 256)
    elif kind == 1:
        grain = int(rng.integers(2, 40))
        small = rng.integers(0, 256, (max(height // grain, 2), max(width // grain, 2)), np.uint8)
        luma[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    elif kind == 2:
        wave = (
            np.sin(np.arange(width) * rng.uniform(0.02, 1.0))[None]
            + np.sin(np.arange(height) * rng.uniform(0.02, 1))[:, None]
        )
        luma[:] = np.clip(127 + 60 * wave, 0, 255)
    else:
        luma[:] = rng.integers(0, 256)
        for _ in range(int(rng.integers(5, 60))):
            x, y = int(rng.integers(width)), int(rng.integers(height))
            axes = (int(rng.integers(2, 60)), int(rng.integers(2, 60)))
            shade = int(rng.integers(256))
            if rng.random() < 0.5:
                cv2.ellipse(luma, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, shade, -1)
            else:
                cv2.rectangle(luma, (x, y), (x + axes[0], y + axes[1]), shade, -1)
