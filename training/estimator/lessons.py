"""Crops that the teacher has judged, each used several times: judging costs more than learning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edge_agender.imaging.frame import Array, Picture
from training.estimator.data import Sampler
from training.estimator.teacher import distribution_moments

USES = 4
KEPT_BATCHES = 64


@dataclass(frozen=True)
class Batch:
    """Crops (n, 64, 64, 3) uint8 with years (n,), female 0 or 1 (n,), and what the teacher says of them (n, 2)."""

    crops: Picture
    years: Tensor
    female: Tensor
    taught: Tensor | None = None


def as_input(crops: Array, device: str = "cpu") -> Tensor:
    """Return crops (n, 64, 64, 3) uint8 as the networks' input (n, 3, 64, 64), on the device."""
    scaled = (torch.from_numpy(crops).to(device).float() - 128) / 64
    return scaled.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


class Lessons:
    """A pool of judged crops, from which batches are drawn; every `USES`-th batch brings fresh ones in."""

    def __init__(self, teacher: nn.Module, batch: int, seed: int = 0, device: str = "cpu") -> None:
        self._teacher, self._batch, self._device = teacher, batch, device
        self._rng = np.random.default_rng(seed)
        self._pool: list[Batch] = []
        self._drawn = 0

    def batch(self, sampler: Sampler) -> Batch:
        """Return a batch mixed from the pool, about half of it mirrored."""
        if self._drawn % USES == 0:
            self._bring_in(sampler)
        self._drawn += 1
        rows = self._rng.integers(0, len(self._pool), self._batch), self._rng.integers(0, self._batch, self._batch)
        chosen = [(self._pool[a], int(b)) for a, b in zip(*rows, strict=True)]
        crops = np.stack([lesson.crops[row] for lesson, row in chosen])
        mirrored = self._rng.random(self._batch) < 0.5
        crops[mirrored] = crops[mirrored, :, ::-1]
        return Batch(
            crops,
            torch.stack([lesson.years[row] for lesson, row in chosen]),
            torch.stack([lesson.female[row] for lesson, row in chosen]),
            torch.stack([lesson.taught[row] for lesson, row in chosen if lesson.taught is not None]),
        )

    def _bring_in(self, sampler: Sampler) -> None:
        crops, years, female = sampler.batch(self._batch)
        lesson = Batch(crops, torch.from_numpy(years), torch.from_numpy(female), self._judge(crops))
        if len(self._pool) >= KEPT_BATCHES:
            self._pool.pop(0)
        self._pool.append(lesson)

    @torch.no_grad()
    def _judge(self, crops: Picture) -> Tensor:
        """Return the teacher's years and logit (n, 2), averaged over the crop and its mirror image."""
        said = []
        with torch.autocast(self._device, torch.bfloat16):
            for view in (crops, np.ascontiguousarray(crops[:, :, ::-1])):
                ages, logit = self._teacher(as_input(view, self._device))
                said.append(torch.stack([distribution_moments(ages.float())[0], logit.float()], 1))
        return ((said[0] + said[1]) / 2).cpu()
