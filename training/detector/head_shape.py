"""The head of `vision.head_pose`, from landmarks alone: `python -m training.detector.head_shape --data DIR`.

Factorization under orthography (Tomasi and Kanade, 1992), each face taken for one view of the same head, with its
mirror image. That fixes the shape but for a turn about the eyes: it is set so that faces seen by eye as looking into
the camera have a median pitch of 0.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from edge_agender.imaging.frame import Array
from training.detector.data import MIRRORED_POINTS
from training.detector.labels import points_of

TRIMMED = 0.05  # of the faces, those that fit worst: a teacher's slips
ROUNDS = 6
FRONTAL_PITCH_DEG = 10.0  # of faces seen as `camera`, against the plane through eyes and mouth


def landmarks(data: Path) -> Array:
    """Return the teachers' points (n, 5, 2), centred and of one size, each face and its mirror image."""
    rows: list[list[list[float]]] = []
    for name in ("teachers.csv", "wild.csv"):
        with (data / name).open() as lines:
            every = (points_of(row) for row in csv.DictReader(lines) if not row["path"].startswith("wider/"))
            rows += [points for points in every if points]
    points = np.array(rows)
    points -= points.mean(1, keepdims=True)
    points /= np.sqrt((points**2).sum((1, 2), keepdims=True))
    return np.concatenate([points, points[:, MIRRORED_POINTS] * [-1, 1]])


def shape(points: Array) -> Array:
    """Return the head (3, 5), up to a turn, that explains all views (n, 5, 2) best."""
    kept = np.ones(len(points), bool)
    for _ in range(ROUNDS):
        rows = points[kept].transpose(0, 2, 1).reshape(-1, 5)
        basis = np.linalg.svd(rows.T @ rows)[0][:, :3].T
        motion = points.transpose(0, 2, 1) @ basis.T
        missed = ((points.transpose(0, 2, 1) - motion @ basis) ** 2).sum((1, 2))
        kept = missed < np.quantile(missed, 1 - TRIMMED)
    return np.asarray(np.linalg.inv(_metric(motion[kept])) @ basis)


def _metric(motion: Array) -> Array:
    """Return the matrix (3, 3) under which each view's two axes are equally long and at right angles."""
    first, second = motion[:, 0], motion[:, 1]
    rows = np.concatenate([_products(first, first) - _products(second, second), 2 * _products(first, second)])
    a, b, c, d, e, f = np.linalg.svd(rows.T @ rows)[2][-1]
    square = np.array([[a, b, c], [b, d, e], [c, e, f]])
    values, vectors = np.linalg.eigh(square * np.sign(np.trace(square)))
    return np.asarray(vectors * np.sqrt(values.clip(1e-6)))


def _products(a: Array, b: Array) -> Array:
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    parts = [a[:, i] * b[:, j] + (a[:, j] * b[:, i] if i != j else 0) for i, j in pairs]
    return np.stack(parts, 1)


def upright(head: Array) -> Array:
    """Return the head (5, 3) in distances between its eyes, seen from the front: x right, y down, z away."""
    eyes, mouth = (head[:, 0] + head[:, 1]) / 2, (head[:, 3] + head[:, 4]) / 2
    across = head[:, 1] - head[:, 0]
    unit = np.linalg.norm(across)
    across, down = across / unit, mouth - eyes
    down = down - across * (across @ down)
    down /= np.linalg.norm(down)
    turned = (np.stack([across, down, np.cross(across, down)]) @ (head - eyes[:, None]) / unit).T
    turned[:, 2] *= -np.sign(turned[2, 2])  # the nose is nearest
    angle = np.radians(FRONTAL_PITCH_DEG)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.asarray(turned @ tilt.T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with teachers.csv and wild.csv")
    args = parser.parse_args()
    points = landmarks(args.data)
    print(f"{len(points) // 2} faces")
    for x, y, z in upright(shape(points)):
        print(f"    ({x:.3f}, {y:.3f}, {z:.3f}),")


if __name__ == "__main__":
    main()
