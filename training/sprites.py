"""Synthetic faces for the demo: averages of many aligned faces of one gender and one age band.

    python -m training.sprites --data DIR

DIR holds utkface/ and utkface.csv. Writes edge_agender/capture/sources/demo_faces.png (B, G, R, A tiles in a grid) and
.json.
Nobody can be recognised in an average of more than a hundred people; the JSON says how many each one has.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

BANDS = ((5, 12), (13, 17), (18, 24), (25, 34), (35, 44), (45, 54), (55, 64), (65, 85))
GENDERS = ("female", "male")
PEOPLE = 120
CANDIDATES = 360
ROUNDS = 3
WORK_PX = 200
TILE_PX = 128
# Where the eyes, the nose and the mouth are: what lies outside (hair, shoulders) must not steer the alignment.
INNER = (slice(50, 175), slice(35, 165))
# The face within an aligned UTKFace picture, as a box in its 200 pixels: hairline to chin, cheek to cheek.
FACE_BOX = (30.0, 18.0, 170.0, 196.0)

Picture = NDArray[np.uint8]
Average = NDArray[np.float32]


def candidates(data: Path, gender: str, band: tuple[int, int], rng: np.random.Generator) -> list[tuple[float, Path]]:
    """Return up to CANDIDATES (age, path) of one gender and band, in a seeded order."""
    with (data / "utkface.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["gender"] == gender]
    fitting = [(float(r["age"]), data / r["path"]) for r in rows if band[0] <= float(r["age"]) <= band[1]]
    order = rng.permutation(len(fitting))[:CANDIDATES]
    return [fitting[i] for i in order]


def aligned(picture: Picture, mean: Average) -> tuple[float, Average]:
    """Return how alike picture and mean are after alignment (-1..1), and the picture warped onto the mean.

    Enhanced correlation coefficient with a Euclidean motion (Evangelidis and Psarakis, PAMI 2008).
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    template = cv2.cvtColor(mean.clip(0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY)
    warp = np.eye(2, 3, dtype=np.float32)
    mask = np.zeros_like(grey)
    mask[INNER] = 255
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 25, 1e-4)
    try:
        likeness, warp = cv2.findTransformECC(template, grey, warp, cv2.MOTION_AFFINE, stop, mask, 5)
    except cv2.error:
        return -1.0, picture.astype(np.float32)
    size = (WORK_PX, WORK_PX)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(picture, warp, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return float(likeness), moved.astype(np.float32)


def average(people: list[tuple[float, Path]]) -> tuple[Average, float, int]:
    """Return the mean face (200, 200, 3), the mean age and how many people are in it."""
    pictures = [(age, cv2.imread(str(path))) for age, path in people]
    mean: Average = np.mean([p for _, p in pictures], axis=0, dtype=np.float32)
    mean = (mean + mean[:, ::-1]) / 2
    chosen: list[tuple[float, float, Average]] = []
    for _ in range(ROUNDS):
        scored = [(age, *aligned(picture, mean)) for age, picture in pictures]
        chosen = sorted(scored, key=lambda item: -item[1])[:PEOPLE]
        mean = np.mean([face for _, _, face in chosen], axis=0, dtype=np.float32)
        mean = (mean + mean[:, ::-1]) / 2
    return mean, float(np.mean([age for age, _, _ in chosen])), len(chosen)


def crisp(mean: Average) -> Picture:
    """Give an average the contrast and the edges of a photograph."""
    soft = cv2.GaussianBlur(mean, (0, 0), 3)
    sharp = mean + 1.2 * (mean - soft)
    middle = float(sharp[INNER].mean())
    return np.clip((sharp - middle) * 1.25 + middle, 0, 255).astype(np.uint8)


def oval() -> Picture:
    """Return the alpha of a tile: opaque over the head, soft towards its edge."""
    y, x = np.mgrid[0:WORK_PX, 0:WORK_PX].astype(np.float32) / (WORK_PX / 2) - 1
    distance = np.hypot(x / 0.98, y / 1.0)
    return (np.clip((1.0 - distance) / 0.10, 0, 1) * 255).astype(np.uint8)


def build(data: Path, seed: int) -> tuple[Picture, dict[str, Any]]:
    """Return the sheet (B, G, R, A) and its description."""
    rng = np.random.default_rng(seed)
    alpha, scale = oval(), TILE_PX / WORK_PX
    rows, faces = [], []
    for j, gender in enumerate(GENDERS):
        row = []
        for i, band in enumerate(BANDS):
            mean, age, count = average(candidates(data, gender, band, rng))
            tile = np.dstack([crisp(mean), alpha])
            row.append(cv2.resize(tile, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA))
            faces.append(
                {"x": i * TILE_PX, "y": j * TILE_PX, "gender": gender, "band": list(band), "people": count}
                | {"mean_age_years": round(age, 1), "face_box": [round(v * scale, 1) for v in FACE_BOX]}
            )
            print(f"{gender} {band[0]}-{band[1]}: {count} people, mean age {age:.1f}")
        rows.append(np.hstack(row))
    return np.vstack(rows), {"tile_px": [TILE_PX, TILE_PX], "faces": faces}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with utkface/ and utkface.csv")
    parser.add_argument("--out", type=Path, default=Path("edge_agender/capture/sources/demo_faces.png"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sheet, description = build(options.data, options.seed)
    cv2.imwrite(str(options.out), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    options.out.with_suffix(".json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
