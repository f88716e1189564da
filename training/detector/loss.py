"""Which cell answers for which face, and what it pays.

Assignment is SimOTA (YOLOX, Ge et al. 2021) over the 3x3 cells round a face's centre on the strides that suit its size.
The score learns the overlap of its own box (quality focal loss, Li et al. 2020); the box pays generalized IoU
(Rezatofighi et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.detector.data import Sample
from training.detector.network import STRIDES, cells

SIZE_RANGES = {8: (0.0, 48.0), 16: (28.0, 112.0), 32: (64.0, 1e4)}  # sqrt(area) of a face in pixels, by stride
MOST_CELLS = 9  # per face


@dataclass(frozen=True)
class Targets:
    """Faces of a batch in one row each: picture (n,), boxes (n, 4) in pixels; the ignored ones apart."""

    picture: Tensor
    boxes: Tensor
    ignored_picture: Tensor
    ignored: Tensor


def collate(samples: list[Sample]) -> tuple[Tensor, Targets]:
    """Return the net's input (n, 1, h, w) in -2..2 and the targets."""
    luma = torch.from_numpy(np.stack([sample.luma for sample in samples])[:, None])
    faces, others = (
        [
            np.concatenate(
                [np.full((int((sample.ignore == skip).sum()), 1), i, np.float32), sample.boxes[sample.ignore == skip]],
                1,
            )
            for i, sample in enumerate(samples)
        ]
        for skip in (False, True)
    )
    face, other = (torch.from_numpy(np.concatenate(rows).astype(np.float32)) for rows in (faces, others))
    inputs = ((luma.float() - 128) / 64).to(memory_format=torch.channels_last)
    return inputs, Targets(face[:, 0].long(), face[:, 1:], other[:, 0].long(), other[:, 1:])


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalized IoU of boxes (..., 4) pair by pair."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2]).clamp(min=0).prod(-1) for x in (a, b)]
    union = (areas[0] + areas[1] - inter).clamp(min=1e-6)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=1e-6).prod(-1)
    iou = inter / union
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


class DetectionLoss:
    """Scores and boxes of a batch against its targets, for one canvas size."""

    def __init__(self, height: int, width: int) -> None:
        self.cells = cells(height, width)
        self.grids = []
        start = 0
        for stride in STRIDES:
            rows, columns = -(-height // stride), -(-width // stride)
            self.grids.append((stride, start, rows, columns))
            start += rows * columns

    def boxes(self, distances: Tensor) -> Tensor:
        """Distances (..., cells, 4) in strides to corners in pixels."""
        centre, stride = self.cells[:, :2], self.cells[:, 2:]
        return torch.cat([centre - distances[..., :2] * stride, centre + distances[..., 2:] * stride], -1)

    def candidates(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each face (n, 27) cell indices and whether each may answer for it."""
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        size = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()
        step = torch.arange(-1, 2)
        indices, valid = [], []
        for stride, start, rows, columns in self.grids:
            column = (centre[:, 0] / stride).long()[:, None, None] + step[None, None, :]
            row = (centre[:, 1] / stride).long()[:, None, None] + step[None, :, None]
            low, high = SIZE_RANGES[stride]
            fits = ((size >= low) & (size < high))[:, None, None]
            inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows) & fits
            indices.append((start + row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)).flatten(1))
            valid.append(inside.flatten(1))
        return torch.cat(indices, 1), torch.cat(valid, 1)

    @torch.no_grad()
    def assign(self, scores: Tensor, boxes: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Return (picture, cell, face) of every pair that SimOTA chooses."""
        index, valid = self.candidates(targets.boxes)
        picture = targets.picture[:, None].expand_as(index)
        iou, _ = overlap(boxes[picture, index], targets.boxes[:, None])
        logit = scores[picture, index]
        quality = iou.clamp(min=0)
        cost = F.binary_cross_entropy_with_logits(logit, quality, reduction="none") * (quality - logit.sigmoid()).abs()
        cost = cost - 3 * (iou + 1e-4).log() + (~valid) * 1e4
        wanted = (quality * valid).topk(MOST_CELLS, 1).values.sum(1).long().clamp(min=1)
        rank = cost.argsort(1).argsort(1)
        chosen = (rank < wanted[:, None]) & valid
        face, column = chosen.nonzero(as_tuple=True)
        flat = picture[face, column] * len(self.cells) + index[face, column]
        price = cost[face, column]
        best = torch.full((len(scores) * len(self.cells),), torch.inf).scatter_reduce(0, flat, price, "amin")
        kept = price <= best[flat]
        flat, face = flat[kept], face[kept]
        return flat // len(self.cells), flat % len(self.cells), face

    def counted(self, batch: int, targets: Targets) -> Tensor:
        """Return (batch, cells): 0 for cells centred in an ignored face, else 1."""
        weight = torch.ones(batch, len(self.cells))
        if len(targets.ignored):
            x, y, stride = self.cells.T
            b = targets.ignored[:, :, None]
            pad = stride / 2  # a tiny ignored face may lie between centres
            inside = (x > b[:, 0] - pad) & (x < b[:, 2] + pad) & (y > b[:, 1] - pad) & (y < b[:, 3] + pad)
            face, cell = inside.nonzero(as_tuple=True)
            weight[targets.ignored_picture[face], cell] = 0
        return weight

    def __call__(self, scores: Tensor, distances: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """Return the (score, box) losses; scores (n, cells) are logits, distances (n, cells, 4) in strides."""
        boxes = self.boxes(distances)
        picture, cell, face = self.assign(scores.detach(), boxes.detach(), targets)
        iou, giou = overlap(boxes[picture, cell], targets.boxes[face])
        quality = torch.zeros_like(scores)
        quality[picture, cell] = iou.detach().clamp(min=0)
        weight = self.counted(len(scores), targets)
        weight[picture, cell] = 1
        focus = (quality - scores.detach().sigmoid()).square()
        bce = F.binary_cross_entropy_with_logits(scores, quality, reduction="none")
        total = max(len(face), 1)
        return (bce * focus * weight).sum() / total, (1 - giou).sum() / total
