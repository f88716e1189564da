"""A sheet of the sixty surest mistakes with strangers, to look at: thirty genders, thirty ages.

    python -m training.first_stages.sheet --faces DIR --out sheet.png [--model models/agender-ssrnet.tflite]

Over each face stand its label, what was said, and what the teacher says out of fold. Never commit the sheet: it shows
people.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.frame import Picture
from training.first_stages.evaluate import Said, say
from training.first_stages.faces import Faces, load

COLLECTIONS = ("wild", "appareal", "lfw", "lag")  # FG-NET is for the figures alone: nobody is to tune to its mistakes
LOOKED_AT, SHOWN, ACROSS, PX = 2000, 30, 10, 150


def worst(said: Said) -> NDArray[np.intp]:
    """Return the rows of the surest wrong genders, then those of the ages most deviations off."""
    wrong = np.flatnonzero(~said.right)
    genders = wrong[np.argsort(-np.abs(said.p_female[wrong] - 0.5))][:SHOWN]
    ages = np.argsort(-np.nan_to_num(said.error / np.maximum(said.deviation, 2.0)))[:SHOWN]
    return np.concatenate([genders, ages])


def tile(faces: Faces, index: int, said: str) -> Picture:
    shown = np.ascontiguousarray(cv2.resize(np.array(faces.patches[index]), (PX, PX)), np.uint8)
    years, _, p_female = faces.taught[index]
    label = f"{faces.gender[index][0]}{faces.years[index, 0]:.0f} {faces.collection[index][:2]}"
    for line, words in enumerate((label, f"said {said}", f"taught {years:.0f} {p_female:.2f}")):
        cv2.putText(shown, words, (2, 12 + 13 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("models/agender-ssrnet.tflite"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    faces = load(args.faces)
    held = (faces.part == "held_out") & np.isin(faces.gender, ("female", "male"))
    places = np.flatnonzero(held & np.isin(faces.collection, COLLECTIONS))
    places = np.random.default_rng(4).permutation(places)[:LOOKED_AT]
    said = say(args.model.read_bytes(), faces, places)
    words = [f"{y:.0f}+-{d:.0f} {p:.2f}" for y, d, p in zip(said.years, said.deviation, said.p_female, strict=True)]
    tiles = [tile(faces, int(places[row]), words[row]) for row in worst(said)]
    rows = [np.hstack(tiles[start : start + ACROSS]) for start in range(0, len(tiles) - ACROSS + 1, ACROSS)]
    cv2.imwrite(str(args.out), np.vstack(rows))


if __name__ == "__main__":
    main()
