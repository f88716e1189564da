"""64x64 crops from patches: levelled by landmarks as the run time does it, or square round the box; and jittered."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.frame import Picture
from edge_agender.imaging.preprocess import ARCFACE_PLACES
from training.first_stages.faces import PATCH_MARGIN, PATCH_PX, Faces

INPUT_PX = 64
MARGIN = 0.05  # of crops round a box, for faces without landmarks: about as much as alignment shows
LEVELLED = 0.8  # of the crops of faces with landmarks; the others prepare for detectors that give none
PLACES = ARCFACE_PLACES * (INPUT_PX / 112)
SCALE = (1 + 2 * MARGIN) / (1 + 2 * PATCH_MARGIN) * PATCH_PX / INPUT_PX  # patch pixels a crop's pixel


def plain(faces: Faces, index: int) -> Picture:
    """Return the crop as the run time makes it."""
    if faces.levelled(index):
        return by_landmarks(faces.patches[index], faces.landmarks[index])
    return by_box(faces.patches[index])


def augmented(faces: Faces, index: int, rng: np.random.Generator) -> Picture:
    """Return a crop as another camera, distance, lamp, lens or detector would have given it."""
    crop = np.ascontiguousarray(_placed(faces, index, rng))
    return _covered(_lit(_softened(crop, rng), rng), rng)


def by_landmarks(
    patch: Picture,
    landmarks: NDArray[np.floating],
    angle_deg: float = 0.0,
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Picture:
    """Return the crop with the landmarks where ArcFace has them, then turned and scaled round its middle, shifted."""
    a, b = landmarks - landmarks.mean(0), PLACES - PLACES.mean(0)
    x, y = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    turn = (np.conj(x) * y).sum() / (np.abs(x) ** 2).sum()
    start = complex(*PLACES.mean(0)) - turn * complex(*landmarks.mean(0))
    jitter, middle = np.exp(1j * np.deg2rad(angle_deg)) * scale, (INPUT_PX / 2 - 0.5) * (1 + 1j)
    start = (start - middle) * jitter + middle + complex(*shift)
    turn = turn * jitter
    matrix = np.array([[turn.real, -turn.imag, start.real], [turn.imag, turn.real, start.imag]])
    size = (INPUT_PX, INPUT_PX)
    return np.asarray(
        cv2.warpAffine(patch, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def by_box(
    patch: Picture, angle_deg: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> Picture:
    """Return the square round the box, turned, scaled and shifted (in patch pixels) round its centre."""
    step = SCALE * scale * np.exp(1j * np.deg2rad(angle_deg))
    turn = np.array([[step.real, -step.imag], [step.imag, step.real]])
    corner = np.full(2, PATCH_PX / 2 - 0.5) + shift - turn @ np.full(2, INPUT_PX / 2 - 0.5)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (INPUT_PX, INPUT_PX)
    matrix = np.column_stack([turn, corner])
    return np.asarray(cv2.warpAffine(patch, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _placed(faces: Faces, index: int, rng: np.random.Generator) -> Picture:
    patch = faces.patches[index]
    if faces.levelled(index) and rng.random() < LEVELLED:
        landmarks = faces.landmarks[index]
        apart = np.abs(landmarks[0] - landmarks[1]).max()
        landmarks = landmarks + rng.normal(0, 0.06 * apart * rng.random(), (5, 2))
        shift = rng.normal(0, 1.6, 2)
        crop = by_landmarks(patch, landmarks, rng.normal(0, 4), float(np.exp(rng.normal(0, 0.06))), tuple(shift))
    else:
        shift = rng.normal(0, 0.03 * PATCH_PX / (1 + 2 * PATCH_MARGIN) * 1.3, 2)
        crop = by_box(patch, rng.normal(0, 7), float(np.exp(rng.normal(0, 0.09))), tuple(shift))
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _softened(crop: Picture, rng: np.random.Generator) -> Picture:
    """Take detail away as distance, focus, motion and compression do."""
    kind = rng.random()
    if kind < 0.22:
        small = int(rng.integers(11, 40))
        crop = np.asarray(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
        way = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
        crop = np.asarray(cv2.resize(crop, (INPUT_PX, INPUT_PX), interpolation=way), np.uint8)
    elif kind < 0.30:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 1.8)), np.uint8)
    elif kind < 0.35:
        crop = _moved(crop, int(rng.integers(3, 8)), rng.uniform(0, 180))
    if rng.random() < 0.18:
        _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 75))])
        crop = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return crop


def _moved(crop: Picture, length: int, angle_deg: float) -> Picture:
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    middle = length / 2 - 0.5
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D((middle, middle), angle_deg, 1), (length, length))
    return np.asarray(cv2.filter2D(crop, -1, kernel / max(float(kernel.sum()), 1e-3)), np.uint8)


def _lit(crop: Picture, rng: np.random.Generator) -> Picture:
    if rng.random() < 0.12:
        crop = np.repeat(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    light = crop.astype(np.float32)
    if rng.random() < 0.6:
        light = (light - 128) * rng.uniform(0.6, 1.3) + 128 + rng.normal(0, 20)
    if rng.random() < 0.3:
        light *= rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.2:
        light = 255 * (np.clip(light, 0, 255) / 255) ** rng.uniform(0.5, 2.4)
    if rng.random() < 0.18:
        light += rng.normal(0, rng.uniform(2, 10), light.shape).astype(np.float32)
    return np.clip(light, 0, 255).astype(np.uint8)


def _covered(crop: Picture, rng: np.random.Generator) -> Picture:
    if rng.random() < 0.2:
        height, width = rng.integers(8, 26, 2)
        y, x = rng.integers(0, INPUT_PX - 8, 2)
        crop[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    return crop
