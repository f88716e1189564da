"""What the detector learns from, in one file: `python -m training.detector.labels --data DIR --scrfd FILE --out FILE`.

Scenes keep WIDER's boxes. Their landmarks are SCRFD's, or YuNet's where it found none; what SCRFD is sure of and WIDER
does not have counts neither as a face nor as background. Portraits come with YuNet's box and landmarks from
`teachers.csv`. Pictures without faces come as they are.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agender.imaging.frame import Array
from training.common.progress import show
from training.detector.predictors import Found, iou_of
from training.detector.scrfd import Scrfd

PORTRAITS = {"aaf": 1200, "utkface": 1500, "lag": 600}
POINTS = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
LEAST_HEIGHT_PX = 14  # of a face whose landmarks are believed
LEAST_SCORE = 0.7  # YuNet's, of a portrait
SURE = 0.5  # from which score on an unlabelled face is left out of the background
Row = dict[str, Any]


def points_of(row: dict[str, str]) -> list[list[float]] | None:
    """Return a teacher's five points, or None where it has none."""
    if not row["nose_x"]:
        return None
    return [[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in POINTS]


def taught(scene: Row, found: Found, teachers: dict[tuple[str, int], dict[str, str]]) -> Row:
    """Return a scene's row with landmarks, and with what is not labelled as `ignore`."""
    faces, (scores, boxes, _) = scene["faces"], found
    truth = np.array([face["box"] for face in faces], float).reshape(-1, 4)
    truth[:, 2:] += truth[:, :2]
    overlaps = iou_of(boxes, truth)
    for index, face in enumerate(faces):
        face["points"] = _points(face, index, scene["path"], overlaps[:, index], found, teachers)
    for score, box, row in zip(scores, boxes, overlaps, strict=True):
        if score > SURE and row.max(initial=0.0) < 0.3:
            x1, y1, x2, y2 = (round(float(value), 1) for value in box)
            faces.append({"box": [x1, y1, x2 - x1, y2 - y1], "ignore": True, "points": None})
    return {**scene, "kind": "scene", "faces": faces}


def _points(
    face: Row, index: int, path: str, overlaps: Array, found: Found, teachers: dict[tuple[str, int], dict[str, str]]
) -> list[list[float]] | None:
    if len(overlaps) and not face["ignore"] and face["box"][3] >= LEAST_HEIGHT_PX:
        best = int(overlaps.argmax())
        if overlaps[best] > 0.5 and found[0][best] > 0.3:
            return [[round(float(x), 1), round(float(y), 1)] for x, y in found[2][best]]
    row = teachers.get((path, index))
    return points_of(row) if row else None


def portraits(teachers: dict[tuple[str, int], dict[str, str]]) -> list[Row]:
    """Return rows of portraits of which YuNet is sure, drawn by their names."""
    rows = []
    for collection, most in PORTRAITS.items():
        fit = [
            (path, row)
            for (path, _), row in teachers.items()
            if path.startswith(f"{collection}/") and row["nose_x"] and float(row["score"] or 0) > 0.7
        ]
        fit.sort(key=lambda pair: zlib.crc32(pair[0].encode()))
        for path, row in fit[:most]:
            face = {"box": [float(row[side]) for side in "xywh"], "ignore": False, "points": points_of(row)}
            rows.append({"path": path, "kind": "portrait", "faces": [face]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="pictures, wider.json and teachers.csv")
    parser.add_argument("--scrfd", type=Path, required=True, help="scrfd_2.5g_kps.onnx")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with (args.data / "teachers.csv").open() as lines:
        teachers = {(row["path"], int(row["face"])): row for row in csv.DictReader(lines)}
    scenes, scrfd, rows, start = json.loads((args.data / "wider.json").read_text()), Scrfd(args.scrfd), [], time.time()
    for done, scene in enumerate(scenes, 1):
        found = scrfd.detect(np.asarray(cv2.imread(str(args.data / scene["path"])), np.uint8), 0.05)
        rows.append(taught(scene, found, teachers))
        if done % 100 == 0:
            used = time.time() - start
            show(used, used * len(scenes) / done / 60, done, "scenes")
    rows += portraits(teachers)
    rows += [
        {"path": f"nofaces/{path.name}", "kind": "empty", "faces": []}
        for path in sorted((args.data / "nofaces").iterdir())
    ]
    args.out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
