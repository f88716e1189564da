"""Average precision, false alarms and misses: `python -m training.detector.evaluate --model FILE --data DIR ...`.

AP is that of tools/score.py: 101 points, IoU 0.5, faces of at least 4, 8 and 15 % of the picture's height; smaller and
ignored faces count neither way. `--yunet` judges YuNet-n on the same canvases in the same run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_agender.imaging.preprocess import LETTERBOX_LUMA, resize
from edge_agender.imaging.frame import Array, Picture
from edge_agender.inference.tflite import Network
from training.detector.data import Labelled, load, read_labels
from training.detector.network import INPUT_HEIGHT, INPUT_WIDTH, LOGIT_UNIT, STRIDES, cells
from training.detector.split import held_out

MIN_HEIGHTS = (0.15, 0.08, 0.04)
Found = tuple[Array, Array, Array]  # scores (n,), best first; corners (n, 4); points (n, 5, 2)
Predict = Callable[[Picture], Found]


def canvas_of(bgr: Picture) -> tuple[Picture, float]:
    """Fit a picture into the top left of the network's canvas; return it and canvas pixels per picture pixel."""
    factor = min(INPUT_WIDTH / bgr.shape[1], INPUT_HEIGHT / bgr.shape[0])
    width, height = (max(round(side * factor), 1) for side in (bgr.shape[1], bgr.shape[0]))
    canvas = np.full((INPUT_HEIGHT, INPUT_WIDTH, 3), LETTERBOX_LUMA, np.uint8)
    canvas[:height, :width] = resize(bgr, (width, height))
    return canvas, factor


def decode(rows: Array, grid: Array, min_score: float, most: int = 300) -> Found:
    """Return what rows (cells, 15), logits in full, say of a canvas, in its pixels; grid is `network.cells`."""
    which = np.flatnonzero(rows[:, 0] >= np.log(min_score / (1 - min_score)))
    which = which[np.argsort(-rows[which, 0], kind="stable")[:most]]
    rows, corner, stride = rows[which], grid[which, :2], grid[which, 2:]
    middle, half = corner + rows[:, 1:3] * stride, np.exp(rows[:, 3:5]) * stride / 2
    points = corner[:, None] + rows[:, 5:].reshape(-1, 5, 2) * stride[:, None]
    return 1 / (1 + np.exp(-rows[:, 0])), np.concatenate([middle - half, middle + half], 1), points


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


def finish(rows: Array, grid: Array, min_score: float) -> Found:
    """Decode, suppress and clip to the canvas."""
    scores, boxes, points = decode(rows, grid, min_score)
    kept = suppress(scores, boxes)
    limit = [INPUT_WIDTH, INPUT_HEIGHT] * 2
    return scores[kept], np.clip(boxes[kept], 0, limit), points[kept]


def torch_predictor(model: object, min_score: float = 0.02) -> Predict:
    """Wrap a FaceNet."""
    import torch

    grid = cells(INPUT_HEIGHT, INPUT_WIDTH).numpy()

    def predict(canvas: Picture) -> Found:
        inputs = torch.from_numpy(canvas.transpose(2, 0, 1)[None].copy()).float()
        with torch.inference_mode():
            rows = model(inputs.contiguous(memory_format=torch.channels_last))  # type: ignore[operator]
        return finish(rows[0].numpy(), grid, min_score)

    return predict


def tflite_predictor(path: Path, min_score: float = 0.02) -> Predict:
    """Wrap a converted model, one thread."""
    network = Network(path.read_bytes(), threads=1, name=path.name)
    grid = cells(INPUT_HEIGHT, INPUT_WIDTH).numpy()

    def predict(canvas: Picture) -> Found:
        inputs: Array = canvas[None]
        if network.input.dtype == np.float32:
            inputs = inputs.astype(np.float32)
        else:
            inputs = (inputs ^ 0x80).view(np.int8)  # pixel - 128, which stands for the pixel
        (values,) = network.run(inputs).values()
        rows = values.reshape(-1, 15).copy()
        rows[:, 0] *= LOGIT_UNIT
        return finish(rows, grid, min_score)

    return predict


def yunet_predictor(path: Path, min_score: float = 0.02) -> Predict:
    """Wrap the published YuNet-n; it wants sides that are multiples of 32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    height = -(-INPUT_HEIGHT // 32) * 32
    grid = cells(height, INPUT_WIDTH).numpy()

    def predict(canvas: Picture) -> Found:
        padded = cv2.copyMakeBorder(canvas, 0, height - INPUT_HEIGHT, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
        said = session.run(names, {"input": padded.transpose(2, 0, 1)[None].astype(np.float32)})
        face, quality, box, points = (np.concatenate([each[0] for each in said[i : i + 3]]) for i in (0, 3, 6, 9))
        score = np.sqrt(face * quality).clip(1e-6, 1 - 1e-6)
        return finish(np.concatenate([np.log(score / (1 - score)), box, points], 1), grid, min_score)

    return predict


def predict_picture(predict: Predict, bgr: Picture) -> Found:
    """Return what is found, in the picture's own pixels."""
    canvas, factor = canvas_of(bgr)
    scores, boxes, points = predict(canvas)
    height, width = bgr.shape[:2]
    return scores, np.clip(boxes / factor, 0, [width, height, width, height]), points / factor


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


def iou_of(a: Array, b: Array) -> Array:
    """Return the overlaps (n, m) of boxes a (n, 4) and b (m, 4)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(2)
    areas = [(x[:, 2:] - x[:, :2]).prod(1) for x in (a, b)]
    return np.asarray(inter / (areas[0][:, None] + areas[1][None] - inter + 1e-9))


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
        scores, boxes = predict_picture(predict, item.luma)
        boxes = boxes[scores >= threshold]
        if len(boxes):
            largest = boxes[(boxes[:, 2:] - boxes[:, :2]).prod(1).argmax()][None]
            hits += bool(iou_of(largest, item.boxes)[0, 0] >= 0.5)
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
