"""Average precision, false alarms and misses: `python -m training.detector.evaluate --model FILE --data DIR ...`.

AP is that of tools/score.py: 101 points, IoU 0.5, faces of at least 4, 8 and 15 % of the picture's height; smaller and
ignored faces count neither way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.preprocess import letterbox
from edge_agender.inference.tflite import Network
from training.detector.data import Labelled, load, read_labels
from training.detector.network import INPUT_HEIGHT, INPUT_WIDTH, STRIDES

MIN_HEIGHTS = (0.15, 0.08, 0.04)
Predict = Callable[[Picture], tuple[Array, Array]]


def decode(levels: Sequence[tuple[Array, Array]], min_score: float, most: int = 300) -> tuple[Array, Array]:
    """Return scores (n,), best first, and corners (n, 4) in input pixels, from (logits (h, w), distances (h, w, 4))."""
    scores, boxes = [], []
    least = np.log(min_score / (1 - min_score))
    for stride, (logits, distances) in zip(STRIDES, levels, strict=True):
        row, column = np.nonzero(logits >= least)
        centre = (np.stack([column, row], 1) + 0.5) * stride
        reach = distances[row, column] * stride
        scores.append(1 / (1 + np.exp(-logits[row, column])))
        boxes.append(np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], 1))
    score, box = np.concatenate(scores), np.concatenate(boxes)
    order = np.argsort(-score, kind="stable")[:most]
    return score[order], box[order]


def suppress(scores: Array, boxes: Array, max_iou: float = 0.45) -> Array:
    """Return the indices that greedy non-maximum suppression keeps; scores come sorted, best first."""
    area = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1)
    left, kept = np.arange(len(scores)), []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[left, :2])
        high = np.minimum(boxes[first, 2:], boxes[left, 2:])
        inter = np.clip(high - low, 0, None).prod(1)
        left = left[inter <= max_iou * (area[first] + area[left] - inter)]
    return np.array(kept, int)


def finish(levels: Sequence[tuple[Array, Array]], min_score: float) -> tuple[Array, Array]:
    """Decode, suppress and clip to the canvas."""
    scores, boxes = decode(levels, min_score)
    kept = suppress(scores, boxes)
    limit = [INPUT_WIDTH, INPUT_HEIGHT] * 2
    return scores[kept], np.clip(boxes[kept], 0, limit)


def torch_predictor(model: object, min_score: float = 0.02) -> Predict:
    """Wrap a FaceSSD: luma canvas (240, 320) to scores and corners."""
    import torch

    def predict(luma: Picture) -> tuple[Array, Array]:
        inputs = (torch.from_numpy(luma.copy())[None, None].float() - 128) / 64
        with torch.inference_mode():
            maps = model.maps(inputs)  # type: ignore[attr-defined]
        return finish(
            [(score[0, 0].float().numpy(), box[0].permute(1, 2, 0).float().numpy()) for score, box in maps], min_score
        )

    return predict


def tflite_predictor(path: Path, min_score: float = 0.02) -> Predict:
    """Wrap a converted model, one thread: luma canvas (240, 320) to scores and corners."""
    network = Network(path.read_bytes(), threads=1, name=path.name)

    def predict(luma: Picture) -> tuple[Array, Array]:
        inputs: Array = luma[None, :, :, None]
        if network.input.dtype == np.float32:
            inputs = (inputs.astype(np.float32) - 128) / 64
        else:
            inputs = (inputs ^ 0x80).view(np.int8)  # pixel - 128: the scale of 1/64 is the tensor's own
        (values,) = network.run(inputs).values()
        return finish(levels_of(values.ravel()), min_score)

    return predict


def levels_of(values: Array) -> list[tuple[Array, Array]]:
    """Return logits (h, w) and distances (h, w, 4) by stride from a converted model's one output, flat."""
    shapes = [(INPUT_HEIGHT // stride, INPUT_WIDTH // stride) for stride in STRIDES]
    ends = np.cumsum([height * width for height, width in shapes])
    logits, distances = values[: ends[-1]], values[ends[-1] :].reshape(-1, 4)
    by_stride = zip(np.split(logits, ends[:-1]), np.split(distances, ends[:-1]), shapes, strict=True)
    return [(score.reshape(shape), box.reshape(*shape, 4)) for score, box, shape in by_stride]


def predict_picture(predict: Predict, luma: Picture) -> tuple[Array, Array]:
    """Return scores and corners in the picture's own pixels."""
    canvas, factor = letterbox(luma, (INPUT_WIDTH, INPUT_HEIGHT))
    scores, boxes = predict(canvas)
    height, width = luma.shape
    return scores, np.clip(boxes / factor, 0, [width, height, width, height])


def average_precision(items: Sequence[Labelled], found: Sequence[tuple[Array, Array]], min_height: float) -> float:
    """Return AP at IoU 0.5 over the faces of at least `min_height` of their picture's height."""
    scores: list[float] = []
    hits: list[bool] = []
    total = 0
    for item, (score, boxes) in zip(items, found, strict=True):
        skip = item.ignore | (item.boxes[:, 3] - item.boxes[:, 1] < min_height * item.luma.shape[0])
        total += int((~skip).sum())
        overlaps = _iou(boxes, item.boxes)
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


def _iou(a: Array, b: Array) -> Array:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(2)
    areas = [(x[:, 2:] - x[:, :2]).prod(1) for x in (a, b)]
    return np.asarray(inter / (areas[0][:, None] + areas[1][None] - inter + 1e-9))


def score_scenes(predict: Predict, scenes: Sequence[Labelled]) -> dict[str, float]:
    """Return AP for each of MIN_HEIGHTS."""
    found = [predict_picture(predict, item.luma) for item in scenes]
    return {f"ap_{round(100 * h)}": round(average_precision(scenes, found, h), 4) for h in MIN_HEIGHTS}


def portrait_recall(predict: Predict, portraits: Sequence[Labelled], threshold: float) -> float:
    """Return the part of portraits whose largest box above the threshold overlaps the label by half."""
    hits = 0
    for item in portraits:
        scores, boxes = predict_picture(predict, item.luma)
        boxes = boxes[scores >= threshold]
        if len(boxes):
            largest = boxes[(boxes[:, 2:] - boxes[:, :2]).prod(1).argmax()][None]
            hits += bool(_iou(largest, item.boxes)[0, 0] >= 0.5)
    return hits / max(len(portraits), 1)


def empty_frames(scenes: Sequence[Labelled], video: Path | None, seed: int = 0) -> list[Picture]:
    """Return canvases without a face: crops of scenes that touch no labelled one, textures, and frames of a video."""
    from training.detector.augment import texture

    rng = np.random.default_rng(seed)
    frames = []
    for item in scenes:
        rows, columns = item.luma.shape
        for _ in range(40):
            h = int(rng.uniform(0.25, 0.7) * rows)
            w = min(int(h * 4 / 3), columns)
            x, y = int(rng.integers(columns - w + 1)), int(rng.integers(rows - h + 1))
            touch = (item.boxes[:, :2] < [x + w, y + h]).all(1) & (item.boxes[:, 2:] > [x, y]).all(1)
            if not touch.any():
                frames.append(letterbox(item.luma[y : y + h, x : x + w], (INPUT_WIDTH, INPUT_HEIGHT))[0])
                break
    for _ in range(50):
        canvas = np.zeros((INPUT_HEIGHT, INPUT_WIDTH), np.uint8)
        texture(canvas, rng)
        frames.append(canvas)
    return frames + (_video_frames(video, 10) if video else [])


def _video_frames(path: Path, every: int) -> list[Picture]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, image = capture.read()
        if not ok:
            return frames[::every]
        frames.append(letterbox(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (INPUT_WIDTH, INPUT_HEIGHT))[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds wider/, aaf/ and utkface/")
    parser.add_argument("--labels", type=Path, required=True, help="wider.json")
    parser.add_argument("--portraits", type=Path, help="written by training.detector.portraits")
    parser.add_argument("--video", type=Path, help="a film without faces")
    parser.add_argument("--threshold", type=float, default=0.5)
    args = parser.parse_args()
    predict = tflite_predictor(args.model)
    scenes = load(args.data, read_labels(args.labels), held=True)
    report: dict[str, object] = {"scenes": len(scenes), **score_scenes(predict, scenes)}
    for collection in ("aaf", "utkface") if args.portraits else ():
        rows = [row for row in read_labels(args.portraits) if str(row["path"]).startswith(collection)]
        portraits = load(args.data, rows, held=True)
        report[f"found_{collection}"] = round(portrait_recall(predict, portraits, args.threshold), 4)
    frames = empty_frames(scenes, args.video)
    best = np.array([max(predict(frame)[0], default=0.0) for frame in frames])
    report |= {
        "empty_frames": len(frames),
        "with_a_face": int((best >= args.threshold).sum()),
        "threshold_for_1_of_200": round(float(np.quantile(best, 0.995)), 3),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
