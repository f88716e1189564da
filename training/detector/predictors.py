"""Detectors to compare, all with one face: a canvas in, scores, boxes and points out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.preprocess import LETTERBOX_LUMA, resize
from edge_agender.inference.tflite import Network
from edge_agender.vision.detectors.suppression import blended
from training.detector.network import INPUT_HEIGHT, INPUT_WIDTH, LOGIT_UNIT, STRIDES, cells

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
    """Decode, suppress, blend and clip to the canvas, as the detector does at run time."""
    scores, boxes, points = decode(rows, grid, min_score)
    kept = suppress(scores, boxes)
    limit = [INPUT_WIDTH, INPUT_HEIGHT] * 2
    if not len(kept):
        return scores[kept], boxes[kept], points[kept]
    means, marks = (np.array(each) for each in blended(boxes.tolist(), scores.tolist(), points.tolist(), kept.tolist()))
    return scores[kept], np.clip(means, 0, limit), marks


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
        # As int8 pixel - 128 stands for the pixel.
        plain = network.input.dtype == np.float32
        inputs: Array = canvas[None].astype(np.float32) if plain else (canvas[None] ^ 0x80).view(np.int8)
        (values,) = network.run(inputs).values()
        found, points = values.ravel()[: 5 * len(grid)].reshape(-1, 5), values.ravel()[5 * len(grid) :].reshape(-1, 10)
        return finish(np.concatenate([found[:, :1] * LOGIT_UNIT, found[:, 1:], points], 1), grid, min_score)

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


def in_grey(predict: Predict) -> Predict:
    """Return the detector as an infrared camera uses it: without colour."""

    def grey(canvas: Picture) -> Found:
        luma = cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY)
        return predict(np.asarray(cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR), np.uint8))

    return grey


def iou_of(a: Array, b: Array) -> Array:
    """Return the overlaps (n, m) of boxes a (n, 4) and b (m, 4)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(2)
    areas = [(x[:, 2:] - x[:, :2]).prod(1) for x in (a, b)]
    return np.asarray(inter / (areas[0][:, None] + areas[1][None] - inter + 1e-9))
