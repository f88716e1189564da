"""Which cell answers for which face, and what it pays.

Assignment is SimOTA (YOLOX, Ge et al. 2021) over the 5x5 cells round a face's centre on every stride, as YuNet learnt
it. The score learns the root of the overlap of its own box (after the quality focal loss, Li et al. 2020); the box pays
generalized IoU (Rezatofighi et al. 2019), the points their distance in parts of the face's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.detector.data import Sample
from training.detector.network import STRIDES, cells

REACH = 2  # cells on each side of a face's centre that may answer for it
MOST_CELLS = 10  # per face


@dataclass(frozen=True)
class Targets:
    """Faces of a batch, one a row: picture (n,), boxes (n, 4), points (n, 5, 2) in pixels; the ignored apart."""

    picture: Tensor
    boxes: Tensor
    points: Tensor
    ignored_picture: Tensor
    ignored: Tensor


def pictures_of(samples: list[Sample]) -> Tensor:
    """Return the net's input (n, 3, h, w), 0 to 255."""
    pictures = torch.from_numpy(np.stack([sample.bgr for sample in samples])).permute(0, 3, 1, 2)
    return pictures.float().contiguous(memory_format=torch.channels_last)


def collate(samples: list[Sample]) -> tuple[Tensor, Targets]:
    """Return the net's input and the targets."""
    every = [sample.faces for sample in samples]
    place = torch.tensor([i for i, faces in enumerate(every) for _ in faces.boxes], dtype=torch.long)
    ignore = torch.from_numpy(np.concatenate([faces.ignore for faces in every]))
    boxes = torch.from_numpy(np.concatenate([faces.boxes for faces in every]).astype(np.float32))
    points = torch.from_numpy(np.concatenate([faces.points for faces in every]).astype(np.float32))
    targets = Targets(place[~ignore], boxes[~ignore], points[~ignore], place[ignore], boxes[ignore])
    return pictures_of(samples), targets


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
    """What a batch's rows (n, cells, 15) pay against its targets, for one canvas size."""

    def __init__(self, height: int, width: int) -> None:
        self.cells = cells(height, width)
        self.grids = []
        start = 0
        for stride in STRIDES:
            rows, columns = -(-height // stride), -(-width // stride)
            self.grids.append((stride, start, rows, columns))
            start += rows * columns

    def boxes(self, rows: Tensor) -> Tensor:
        """Return corners (..., cells, 4) in pixels."""
        corner, stride = self.cells[:, :2], self.cells[:, 2:]
        middle, half = corner + rows[..., 1:3] * stride, rows[..., 3:5].clamp(-4, 4).exp() * stride / 2
        return torch.cat([middle - half, middle + half], -1)

    def candidates(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each face (n, 75) cell indices and whether each exists."""
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        step = torch.arange(-REACH, REACH + 1)
        indices, valid = [], []
        for stride, start, rows, columns in self.grids:
            column = (centre[:, 0] / stride).round().long()[:, None, None] + step[None, None, :]
            row = (centre[:, 1] / stride).round().long()[:, None, None] + step[None, :, None]
            inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
            indices.append((start + row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)).flatten(1))
            valid.append(inside.flatten(1))
        return torch.cat(indices, 1), torch.cat(valid, 1)

    @torch.no_grad()
    def assign(self, scores: Tensor, boxes: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Return (picture, cell, face) of every pair that SimOTA chooses."""
        index, valid = self.candidates(targets.boxes)
        picture = targets.picture[:, None].expand_as(index)
        iou, _ = overlap(boxes[picture, index], targets.boxes[:, None])
        face = F.softplus(-scores[picture, index])
        cost = face - 3 * (iou + 1e-4).log() + (~valid) * 1e4
        wanted = (iou * valid).topk(MOST_CELLS, 1).values.sum(1).long().clamp(min=1)
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
        """Return (batch, cells): 0 for cells in an ignored face, else 1."""
        weight = torch.ones(batch, len(self.cells))
        if len(targets.ignored):
            x, y, stride = self.cells.T
            b = targets.ignored[:, :, None]
            pad = stride / 2  # a tiny ignored face may lie between corners
            inside = (x > b[:, 0] - pad) & (x < b[:, 2] + pad) & (y > b[:, 1] - pad) & (y < b[:, 3] + pad)
            face, cell = inside.nonzero(as_tuple=True)
            weight[targets.ignored_picture[face], cell] = 0
        return weight

    def __call__(self, rows: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """Return the (score, box, points) losses."""
        scores, boxes = rows[..., 0], self.boxes(rows)
        picture, cell, face = self.assign(scores.detach(), boxes.detach(), targets)
        iou, giou = overlap(boxes[picture, cell], targets.boxes[face])
        quality = torch.zeros_like(scores)
        quality[picture, cell] = iou.detach().clamp(min=0).sqrt()
        weight = self.counted(len(scores), targets)
        weight[picture, cell] = 1
        focus = (quality - scores.detach().sigmoid()).abs().pow(1.5)
        bce = F.binary_cross_entropy_with_logits(scores, quality, reduction="none")
        total = max(len(face), 1)
        points = self._points_loss(rows[picture, cell, 5:], self.cells[cell], targets, face)
        return (bce * focus * weight).sum() / total, (1 - giou).sum() / total, points

    def _points_loss(self, said: Tensor, cell: Tensor, targets: Targets, face: Tensor) -> Tensor:
        """Return the mean distance of the points that are known, in parts of the face's size."""
        truth, boxes = targets.points[face], targets.boxes[face]
        known = ~truth.isnan().any(2)
        places = cell[:, None, :2] + said.reshape(-1, 5, 2) * cell[:, None, 2:]
        size = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt().clamp(min=4)[:, None]
        miss = F.smooth_l1_loss(places, truth.nan_to_num(), reduction="none", beta=0.5).sum(2) / size
        return (miss * known).sum() / known.sum().clamp(min=1)
