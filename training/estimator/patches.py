"""Cut every person's patch: `python -m training.estimator.patches --data DIR --out patches.npy --detector ssd`.

Boxes come from the detector that runs in the shop (or res10 before there is one), so that its habits are trained on.
A picture in which it finds nothing gets the collection's median box: these are tight, aligned crops. Goes on where it
was stopped, as long as the labels are the same.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.pictures import read_picture
from edge_agender.imaging.preprocess import crop_face
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.pipeline import Detector
from edge_agender.vision.stills import frame_of
from training.common.progress import show_count
from training.estimator.data import PATCH_MARGIN, PATCH_PX
from training.estimator.people import Person, read_people

# What is known of a picture: not looked at yet, a box, or none found.
NEW, FOUND, MISSED = 0, 1, 2


def largest(detector: Detector, image: Picture) -> Box | None:
    """Return the largest face of a picture, as the scoring takes the labelled person to be."""
    found = detector.detect(frame_of(image))
    return max((each.box for each in found), key=lambda box: box.area, default=None)


def middle(image: Picture) -> Box:
    """Return where the face is in a picture cut with FairFace's margin of 0.25."""
    height, width = image.shape[:2]
    half = max(width, height) / (1 + 2 * 0.25) / 2
    return Box(width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)


def cut_all(people: Sequence[Person], data: Path, out: Path, detector: Detector) -> tuple[Array, Array]:
    """Cut what is not cut yet; return the patches (n, 112, 112, 3), and each picture's box and what is known of it."""
    patches = _array(out, (len(people), PATCH_PX, PATCH_PX, 3), np.uint8)
    number = zlib.crc32("\n".join(person.path for person in people).encode())
    seen = _array(out.with_suffix(f".{number:08x}.npy"), (len(people), 5), np.float32)
    missed = 0
    for index in np.flatnonzero(seen[:, 4] == NEW):
        image = picture(data, people[index])
        box = largest(detector, image)
        if box is not None:
            patches[index] = crop_face(image, box, PATCH_PX, PATCH_MARGIN)
        missed += box is None
        seen[index] = [*(box or (0, 0, 0, 0)), MISSED if box is None else FOUND]
        show_count(int(index) + 1, len(people), f"{missed} without a face")
    return patches, seen


def picture(data: Path, person: Person) -> Picture:
    """Return a labelled picture; raise SystemExit, one line, where it is none."""
    try:
        return read_picture(data / person.path)
    except MediaError as error:
        raise SystemExit(f"{error}: mend it, or take it out of the table of labels") from None


def _array(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> Array:
    """Open an array on disk where one of this shape is, else begin one, all zero."""
    if path.is_file():
        array = np.lib.format.open_memmap(path, "r+")
        if array.shape == shape:
            return array
    return np.lib.format.open_memmap(path, "w+", dtype, shape)


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
    patches, seen = cut_all(people, args.data, args.out, detector)
    names = np.array([person.collection for person in people])
    found, missed = seen[:, 4] == FOUND, np.flatnonzero(seen[:, 4] == MISSED)
    medians = {name: np.median(seen[found & (names == name), :4], axis=0) for name in set(names[found].tolist())}
    for index in missed:
        image = picture(args.data, people[index])
        median = medians.get(people[index].collection)
        box = middle(image) if median is None else Box(*median.tolist())
        patches[index] = crop_face(image, box, PATCH_PX, PATCH_MARGIN)
    print(f"{len(people)} patches; no face found in {len(missed)}")


if __name__ == "__main__":
    main()
