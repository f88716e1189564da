"""Average precision, false alarms and misses: `python -m training.detector.evaluate --model FILE --data DIR ...`.

AP is that of tools/score.py: 101 points, IoU 0.5, faces of at least 4, 8 and 15 % of the picture's height; smaller and
ignored faces count neither way. `--yunet` judges YuNet-n on the same canvases in the same run.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.preprocess import LETTERBOX_LUMA, resize
from edge_agender.vision.head_pose import HeadPose, head_pose
from training.detector.augment import texture
from training.detector.data import Labelled, load, read_labels
from training.detector.network import INPUT_HEIGHT, INPUT_WIDTH
from training.detector.predictors import (
    Found,
    Predict,
    canvas_of,
    in_grey,
    iou_of,
    predict_picture,
    tflite_predictor,
    yunet_predictor,
)
from training.detector.split import held_out

MIN_HEIGHTS = (0.15, 0.08, 0.04)
LEAST_DIRECTION_PX = 24
PARTS = 4  # of a scene that no face touches, at most


def average_precision(items: Sequence[Labelled], found: Sequence[Found], min_height: float) -> float:
    """Return AP at IoU 0.5 over the faces of at least `min_height` of their picture's height."""
    scores: list[float] = []
    hits: list[bool] = []
    total = 0
    for item, (score, boxes, _) in zip(items, found, strict=True):
        truth = item.faces
        skip = truth.ignore | (truth.boxes[:, 3] - truth.boxes[:, 1] < min_height * item.bgr.shape[0])
        total += int((~skip).sum())
        overlaps = iou_of(boxes, truth.boxes)
        free = np.ones(len(skip), bool)
        for value, row in zip(score, overlaps, strict=True):
            best = int(np.argmax(np.where(free, row, -1))) if len(row) else -1
            if best >= 0 and free[best] and row[best] >= 0.5:
                free[best] = False
                if not skip[best]:
                    scores.append(value)
                    hits.append(True)
            elif not (row[skip] >= 0.5).any():
                scores.append(value)
                hits.append(False)
    right = np.array(hits, bool)[np.argsort(-np.array(scores), kind="stable")]
    true, false = np.cumsum(right), np.cumsum(~right)
    recall, precision = true / max(total, 1), true / np.maximum(true + false, 1)
    return float(np.mean([precision[recall >= r].max(initial=0.0) for r in np.linspace(0, 1, 101)]))


def score_scenes(predict: Predict, scenes: Sequence[Labelled]) -> dict[str, float]:
    """Return AP for each of MIN_HEIGHTS, and how tight the boxes are: the mean IoU of found faces from 8 %."""
    found = [predict_picture(predict, item.bgr) for item in scenes]
    report = {f"ap_{round(100 * h)}": round(average_precision(scenes, found, h), 4) for h in MIN_HEIGHTS}
    overlaps: list[float] = []
    for item, (_, boxes, _) in zip(scenes, found, strict=True):
        truth = item.faces.boxes[~item.faces.ignore]
        large = truth[truth[:, 3] - truth[:, 1] >= 0.08 * item.bgr.shape[0]]
        if len(boxes) and len(large):
            overlaps += [value for value in iou_of(large, boxes).max(1) if value >= 0.5]
    return report | {"iou": round(float(np.mean(overlaps)) if overlaps else 0.0, 4)}


def portrait_recall(predict: Predict, portraits: Sequence[Labelled], threshold: float) -> float:
    """Return the part of portraits whose largest box above the threshold overlaps the label by half."""
    hits = 0
    for item in portraits:
        scores, boxes, _ = predict_picture(predict, item.bgr)
        boxes = boxes[scores >= threshold]
        if len(boxes):
            largest = boxes[(boxes[:, 2:] - boxes[:, :2]).prod(1).argmax()][None]
            hits += bool(iou_of(largest, item.faces.boxes)[0, 0] >= 0.5)
    return hits / max(len(portraits), 1)


def directions(predict: Predict, scenes: Sequence[Labelled], threshold: float) -> dict[str, float]:
    """Return how often the direction of a found face, 24 canvas pixels high or more, is the teacher's to 10 degrees.

    Both by `head_pose`, from our landmarks and from the teacher's on the full scene; the angle between the two.
    """
    angles: list[float] = []
    for item in scenes:
        factor = canvas_of(item.bgr)[1]
        scores, boxes, points = predict_picture(predict, item.bgr)
        truth = item.faces
        tall = (truth.boxes[:, 3] - truth.boxes[:, 1]) * factor >= LEAST_DIRECTION_PX
        for index in np.flatnonzero(tall & ~truth.ignore & ~np.isnan(truth.points).any((1, 2))):
            overlaps = iou_of(boxes, truth.boxes[index][None])[:, 0] * (scores >= threshold)
            if overlaps.max(initial=0.0) >= 0.5:
                angles.append(_between(points[overlaps.argmax()], truth.points[index]))
    found = np.array(angles)
    return {"directions": len(found), "within_10_deg": round(float((found <= 10).mean()), 4)}


def _between(said: Array, truth: Array) -> float:
    """Return the angle between the directions that two sets of points (5, 2) say; 180 where one says none."""
    poses = [head_pose([(float(x), float(y)) for x, y in points]) for points in (said, truth)]
    if poses[0] is None or poses[1] is None:
        return 180.0
    ahead = []
    for pose in (poses[0], poses[1]):
        yaw, pitch = np.radians(pose.yaw_deg), np.radians(pose.pitch_deg)
        ahead.append([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    return float(np.degrees(np.arccos(np.clip(np.dot(*ahead), -1, 1))))


def looking(predict: Predict, data: Path, collection: str, max_yaw_deg: float) -> dict[str, float]:
    """Return how often faces seen by eye as `camera` are within the yaw, and `profile` beyond it; misses apart."""
    right: dict[str, list[bool]] = {"camera": [], "profile": []}
    seen = 0
    with (data / f"{collection}.csv").open() as lines:
        for row in csv.DictReader(lines):
            if row["direction"] not in right or not (data / row["path"]).is_file():
                continue
            seen += 1
            pose = _pose_of(predict, np.asarray(cv2.imread(str(data / row["path"])), np.uint8))
            if pose is not None:
                right[row["direction"]].append((abs(pose.yaw_deg) <= max_yaw_deg) == (row["direction"] == "camera"))
    shares = {f"{collection}_{name}": round(float(np.mean(values)), 4) for name, values in right.items() if values}
    return shares | {f"{collection}_found": round(sum(map(len, right.values())) / max(seen, 1), 4)}


def _pose_of(predict: Predict, crop: Picture) -> HeadPose | None:
    """Return the pose of the face in the middle of a cut face, laid into a canvas so that it is some 60 pixels high."""
    canvas = np.full((INPUT_HEIGHT, INPUT_WIDTH, 3), LETTERBOX_LUMA, np.uint8)
    factor = 112 / max(crop.shape[:2])
    size = (max(round(crop.shape[1] * factor), 1), max(round(crop.shape[0] * factor), 1))
    canvas[64 : 64 + size[1], 104 : 104 + size[0]] = resize(crop, size)
    _, boxes, points = predict(canvas)
    middle = np.array([104 + size[0] / 2, 64 + size[1] / 2])
    inside = (boxes[:, :2] < middle).all(1) & (boxes[:, 2:] > middle).all(1)
    if not inside.any():
        return None
    return head_pose([(float(x), float(y)) for x, y in points[np.flatnonzero(inside)[0]]])


def _parts_without_faces(item: Labelled, rng: np.random.Generator) -> list[Picture]:
    """Return up to PARTS canvases with parts of a scene that no labelled face touches, not even one to ignore."""
    (rows, columns), boxes, parts = item.bgr.shape[:2], item.faces.boxes, list[Picture]()
    for _ in range(60):
        h = int(rng.uniform(0.2, 0.7) * rows)
        w = min(int(h * 4 / 3), columns)
        x, y = int(rng.integers(columns - w + 1)), int(rng.integers(rows - h + 1))
        touch = (boxes[:, :2] < [x + w, y + h]).all(1) & (boxes[:, 2:] > [x, y]).all(1)
        if not touch.any() and len(parts) < PARTS:
            parts.append(canvas_of(item.bgr[y : y + h, x : x + w])[0])
    return parts


def empty_frames(scenes: Sequence[Labelled], video: Path | None, seed: int = 0) -> list[Picture]:
    """Return canvases without a face: crops of scenes that touch no labelled one, textures, and frames of a video."""
    rng = np.random.default_rng(seed)
    frames = []
    for item in scenes:
        frames += _parts_without_faces(item, rng)
    for _ in range(50):
        canvas = np.zeros((INPUT_HEIGHT, INPUT_WIDTH, 3), np.uint8)
        texture(canvas, rng)
        frames.append(canvas)
    return frames + (_video_frames(video, 10) if video else [])


def _video_frames(path: Path, every: int) -> list[Picture]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, image = capture.read()
        if not ok:
            return frames[::every]
        frames.append(canvas_of(np.asarray(image, np.uint8))[0])


def report_of(
    predict: Predict, data: Path, rows: Sequence[dict[str, object]], video: Path | None, threshold: float, yaw: float
) -> dict[str, object]:
    """Return everything that is measured of one detector."""
    scenes = [row for row in rows if row["kind"] == "scene"]
    held = load(data, [row for row in scenes if held_out(str(row["path"]))])
    report: dict[str, object] = {"scenes": len(held), **score_scenes(predict, held)}
    report["grey"] = score_scenes(in_grey(predict), held)
    report |= directions(predict, held, threshold)
    for collection in ("wild", "appareal"):
        report |= looking(predict, data, collection, yaw)
    empty = load(data, [row for row in rows if row["kind"] == "empty" and held_out(str(row["path"]))])
    report |= false_alarms(predict, "nofaces", [canvas_of(item.bgr)[0] for item in empty], threshold)
    return report | false_alarms(predict, "empty_frames", empty_frames(held, video), threshold)


def false_alarms(predict: Predict, name: str, frames: Sequence[Picture], threshold: float) -> dict[str, object]:
    """Return in how many of these frames without a face one is found."""
    best = np.array([max(predict(frame)[0], default=0.0) for frame in frames])
    return {
        name: len(frames),
        f"{name}_with_a_face": int((best >= threshold).sum()),
        f"{name}_threshold_for_1_of_200": round(float(np.quantile(best, 0.995)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds wider/, wild/ and their labels")
    parser.add_argument("--labels", type=Path, required=True, help="written by training.detector.labels")
    parser.add_argument("--yunet", type=Path, help="yunet_n.onnx, to compare")
    parser.add_argument("--video", type=Path, help="a film without faces")
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--max-yaw", type=float, default=32.0, help="degrees up to which a face looks this way")
    args = parser.parse_args()
    judged = {"ours": tflite_predictor(args.model)}
    if args.yunet:
        judged["yunet"] = yunet_predictor(args.yunet)
    rows = read_labels(args.labels)
    for name, predict in judged.items():
        report = report_of(predict, args.data, rows, args.video, args.threshold, args.max_yaw)
        print(json.dumps({name: report}, indent=1), flush=True)


if __name__ == "__main__":
    main()
