"""Labelled face patches in memory, and endless augmented 64x64 crops from them.

A patch is the square that `preprocess.crop_face` cuts round the detector's box, wider and larger than what the network
sees, so that every shift, turn and scale of training is one warp of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.frame import Array, Picture
from training.common.split import Part
from training.estimator.people import read_people

PATCH_PX = 112
PATCH_MARGIN = 0.35
INPUT_PX = 64
INPUT_MARGIN = 0.2  # what the run time crops: 1.4 of the box's longer side
# Patch pixels per network pixel when nothing is jittered.
SCALE = (1 + 2 * INPUT_MARGIN) / (1 + 2 * PATCH_MARGIN) * PATCH_PX / INPUT_PX
MAX_YEARS = 100.0


@dataclass(frozen=True)
class Faces:
    """Patches (n, 112, 112, 3) B, G, R with ages in years (n,), female 0 or 1 (n,) and the collection's name (n,)."""

    patches: Picture
    years: NDArray[np.float32]
    female: NDArray[np.float32]
    collection: NDArray[np.str_]
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.years)

    def where(self, mask: Array) -> Faces:
        return Faces(self.patches[mask], self.years[mask], self.female[mask], self.collection[mask], self.group[mask])


def load(data: Path, patches: Path, wanted: Part) -> Faces:
    """Return the people of one part, with the patches that training.estimator.patches wrote.

    Raises SystemExit, one line, where the patches are of other labels or the part is empty.
    """
    people = read_people(data)
    chosen = np.array([person.part == wanted for person in people])
    kept = [person for person in people if person.part == wanted]
    pictures = np.load(patches, mmap_mode="r")
    if len(pictures) != len(people):
        raise SystemExit(
            f"{patches}: cut for {len(pictures)} labels, and {data} has {len(people)} now: remove this file"
        )
    if not kept:
        raise SystemExit(
            f"{data}: none of the {len(people)} people is in the part {wanted!r}: give some hundred pictures"
        )
    return Faces(
        pictures[chosen],
        np.array([min(person.years, MAX_YEARS) for person in kept], np.float32),
        np.array([person.female for person in kept], np.float32),
        np.array([person.collection for person in kept]),
        np.array([person.group for person in kept]),
    )


def warp(patch: Picture, angle_deg: float, scale: float, shift: tuple[float, float], flip: bool) -> Picture:
    """Return the 64x64 crop of a patch, turned, scaled and shifted (in patch pixels) round its centre."""
    angle, step = np.deg2rad(angle_deg), SCALE * scale
    cosine, sine = np.cos(angle) * step, np.sin(angle) * step
    turn = np.array([[-cosine if flip else cosine, -sine], [-sine if flip else sine, cosine]])
    centre = np.array([PATCH_PX / 2 - 0.5 + shift[0], PATCH_PX / 2 - 0.5 + shift[1]])
    corner = centre - turn @ np.full(2, INPUT_PX / 2 - 0.5)
    if step > 1.2:  # the warp takes single pixels: average first what it would skip
        patch = cv2.blur(patch, (2, 2))
    matrix = np.column_stack([turn, corner])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(patch, matrix, (INPUT_PX, INPUT_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def plain(patch: Picture) -> Picture:
    """Return the crop (64, 64, 3) as the run time makes it."""
    return warp(patch, 0.0, 1.0, (0.0, 0.0), flip=False)


def augmented(patch: Picture, rng: np.random.Generator) -> Picture:
    """Return a crop as another camera, distance, lamp, lens or detector box would have given it."""
    shift = rng.normal(0, 0.03 * PATCH_PX, 2)
    crop = warp(
        patch, rng.normal(0, 8), float(np.exp(rng.normal(0, 0.09))), (shift[0], shift[1]), bool(rng.random() < 0.5)
    )
    crop = _soften(crop, rng)
    if rng.random() < 0.1:
        crop = np.repeat(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    light = crop.astype(np.float32)
    if rng.random() < 0.6:
        light = (light - 128) * rng.uniform(0.6, 1.3) + 128 + rng.normal(0, 20)
    if rng.random() < 0.3:
        light *= rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.15:
        light = 255 * (np.clip(light, 0, 255) / 255) ** rng.uniform(0.5, 2.2)
    if rng.random() < 0.15:
        light += rng.normal(0, rng.uniform(2, 10), light.shape)
    crop = np.clip(light, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        height, width = rng.integers(10, 26, 2)
        y, x = rng.integers(0, INPUT_PX - 8, 2)
        crop[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    return crop


def _soften(crop: Picture, rng: np.random.Generator) -> Picture:
    """Take detail away as distance, focus and compression do; three crops in four keep theirs."""
    kind = rng.random()
    if kind < 0.10:
        small = int(rng.integers(14, 40))
        crop = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(crop, (INPUT_PX, INPUT_PX)), np.uint8)
    if kind < 0.16:
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    if kind < 0.24:
        _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return crop


class Sampler:
    """Draws batches of augmented crops, the smaller collection more often than its size would have it."""

    def __init__(self, faces: Faces, seed: int, weights: dict[str, float] | None = None) -> None:
        self.faces, self.rng = faces, np.random.default_rng(seed)
        share = np.array([(weights or {}).get(name, 1.0) for name in faces.collection])
        self._share = share / share.sum()

    def batch(self, count: int) -> tuple[Picture, NDArray[np.float32], NDArray[np.float32]]:
        """Return crops (n, 64, 64, 3), years (n,) and female (n,)."""
        index = self.rng.choice(len(self.faces), count, replace=len(self.faces) < count, p=self._share)
        crops = np.stack([augmented(self.faces.patches[i], self.rng) for i in index])
        return crops, self.faces.years[index], self.faces.female[index]
