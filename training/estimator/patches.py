"""Cut every person's patch: `python -m training.estimator.patches --data DIR --out patches.npy --detector ssd`.

Boxes come from the detector that runs in the shop (or res10 before there is one), so that its habits are trained on.
A picture in which it finds nothing gets the collection's median box: these are tight, aligned crops.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from edge_agender.config.settings import DetectorConfig
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import crop_face
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.pipeline import Detector
from edge_agender.vision.stills import frame_of
from training.estimator.data import PATCH_MARGIN, PATCH_PX
from training.estimator.people import read_people


def largest(detector: Detector, image: Picture) -> Box | None:
    """Return the largest face of a picture, as the scoring takes the labelled person to be."""
    found = detector.detect(frame_of(image))
    return max((each.box for each in found), key=lambda box: box.area, default=None)


def middle(image: Picture) -> Box:
    """Return where the face is in a picture cut with FairFace's margin of 0.25."""
    height, width = image.shape[:2]
    half = max(width, height) / (1 + 2 * 0.25) / 2
    return Box(width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of labelled pictures: training.estimator.people"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--detector", choices=("ssd", "res10"), default="ssd")
    parser.add_argument("--threshold", type=float, default=0.3)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    detector = configured_detector(DetectorConfig(kind=args.detector, score_threshold=args.threshold, min_face_px=1))
    people = read_people(args.data)
    shape = (len(people), PATCH_PX, PATCH_PX, 3)
    patches = np.lib.format.open_memmap(args.out, "w+", np.uint8, shape)
    boxes: dict[str, list[Box]] = {}
    missed: list[int] = []
    for index, person in enumerate(people):
        image = np.asarray(cv2.imread(str(args.data / person.path)), np.uint8)
        box = largest(detector, image)
        if box is None:
            missed.append(index)
        else:
            boxes.setdefault(person.collection, []).append(box)
            patches[index] = crop_face(image, box, PATCH_PX, PATCH_MARGIN)
        if index % 1000 == 999:
            print(f"{index + 1} of {len(people)}, {len(missed)} without a face", flush=True)
    medians = {name: Box(*np.median(np.array(found), axis=0).tolist()) for name, found in boxes.items()}
    for index in missed:
        image = np.asarray(cv2.imread(str(args.data / people[index].path)), np.uint8)
        box = medians.get(people[index].collection) or middle(image)
        patches[index] = crop_face(image, box, PATCH_PX, PATCH_MARGIN)
    patches.flush()
    print(f"{len(people)} patches; no face found in {len(missed)}; median boxes {medians}")


if __name__ == "__main__":
    main()
