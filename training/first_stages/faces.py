"""Cut every face's patch once, wider than what the network sees, and keep it with its labels:

    python -m training.first_stages.faces --data DIR --yunet yunet_n.onnx --out DIR

Writes patches.npy (n, 96, 96, 3) B, G, R and faces.npz. Boxes and landmarks stand in teachers.csv and wild.csv;
FG-NET's, which nothing is trained on, come from YuNet here.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import crop_face
from training.first_stages.labels import Labelled, read

PATCH_PX = 96
PATCH_MARGIN = 0.35
Floats = NDArray[np.float32]
PLACES = tuple[tuple[float, float, float, float], tuple[tuple[float, float], ...] | None]


@dataclass(frozen=True)
class Faces:
    """Patches (n, 96, 96, 3) with landmarks in their pixels (n, 5, 2), -1 where unknown, and all labels by face."""

    patches: Picture
    landmarks: Floats
    path: NDArray[np.str_]
    collection: NDArray[np.str_]
    part: NDArray[np.str_]
    group: NDArray[np.str_]
    gender: NDArray[np.str_]
    years: Floats  # (n, 2): first and last allowed, NaN where unknown
    taught: Floats  # (n, 3): years, deviation, probability of female, NaN where unknown

    def __len__(self) -> int:
        return len(self.path)

    def where(self, mask: NDArray[np.bool_]) -> Faces:
        return Faces(**{name: getattr(self, name)[mask] for name in self.__dataclass_fields__})

    def levelled(self, index: int) -> bool:
        return bool(self.landmarks[index, 2, 0] >= 0)


def load(folder: Path) -> Faces:
    """Return what this module's command wrote; the patches stay on disk."""
    kept = np.load(folder / "faces.npz")
    patches = np.load(folder / "patches.npy", mmap_mode="r")[: len(kept["path"])]
    return Faces(patches, **{name: kept[name] for name in kept.files})


def found_by(yunet: Path, image: Picture, threshold: float = 0.3) -> PLACES | None:
    """Return box and landmarks of the largest face, in a picture that is given a border first; None without one."""
    pad = int(0.2 * max(image.shape[:2]))
    wide = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    factor = 320 / max(wide.shape[:2])
    small = cv2.resize(wide, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    detector = cv2.FaceDetectorYN.create(str(yunet), "", small.shape[1::-1], threshold)
    rows = detector.detect(small)[1]
    if rows is None:
        return None
    row = max(rows, key=lambda each: each[2] * each[3])[:14] / factor
    row[:2] -= pad
    row[4:14] -= pad
    return tuple(row[:4].tolist()), tuple(map(tuple, row[4:14].reshape(5, 2).tolist()))  # type: ignore[return-value]


def patch_of(image: Picture, box: tuple[float, float, float, float]) -> Picture:
    x, y, w, h = box
    return crop_face(image, Box(x, y, x + w, y + h), PATCH_PX, PATCH_MARGIN)


def in_patch(landmarks: tuple[tuple[float, float], ...] | None, box: tuple[float, float, float, float]) -> Floats:
    """Return landmarks of a picture in pixels of the patch round a box; -1 where there are none."""
    if landmarks is None:
        return np.full((5, 2), -1, np.float32)
    x, y, w, h = box
    factor = PATCH_PX / (max(w, h) * (1 + 2 * PATCH_MARGIN))
    return ((np.array(landmarks) - (x + w / 2, y + h / 2)) * factor + PATCH_PX / 2).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with the collections, unpacked, and their .csv"
    )
    parser.add_argument("--yunet", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = list(read(args.data))
    shape = (len(rows), PATCH_PX, PATCH_PX, 3)
    patches = np.lib.format.open_memmap(args.out / "patches.npy", "w+", np.uint8, shape)
    kept: list[Labelled] = []
    landmarks: list[Floats] = []
    for row in rows:
        image = cv2.imread(str(args.data / row.path))
        if image is None or (row.box is None and row.collection != "fgnet"):
            continue
        place = (row.box, row.landmarks) if row.box else found_by(args.yunet, image)
        if place is None:
            continue
        try:
            patches[len(kept)] = patch_of(image, place[0])
        except ValueError:
            continue
        kept.append(row)
        landmarks.append(in_patch(place[1], place[0]))
        if len(kept) % 5000 == 0:
            print(f"{len(kept)} of {len(rows)}", flush=True)
    patches.flush()
    nothing = float("nan")
    np.savez(
        args.out / "faces.npz",
        landmarks=np.array(landmarks, np.float32),
        years=np.array([row.years or (nothing,) * 2 for row in kept], np.float32),
        taught=np.array([row.taught or (nothing,) * 3 for row in kept], np.float32),
        **{name: np.array([getattr(row, name) for row in kept]) for name in ("path", "collection", "part", "group")},
        gender=np.array([row.gender for row in kept]),
    )
    print(f"{len(kept)} faces of {len(rows)} rows")


if __name__ == "__main__":
    main()
