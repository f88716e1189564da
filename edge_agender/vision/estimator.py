"""Crops -> Estimates, for any network that a ModelSpec describes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Array, Picture
from edge_agender.inference.network import open_runner
from edge_agender.inference.spec import (
    AgeOutput,
    DeviationOutput,
    GenderOutput,
    ModelSpec,
    Outputs,
    OutputSpec,
    StagewiseOutput,
)
from edge_agender.vision import decode
from edge_agender.vision.faces import Estimate

# A network's outputs by name, each flat.
TensorValues: TypeAlias = Mapping[str, Sequence[float]]

# Beyond what anybody has reached: a regression may overshoot, a reader of the message may not.
MAX_YEARS = 116.0


class ModelEstimator:
    """Age and gender of face crops (crop_px, crop_px, 3), B, G, R, cut as pipeline.cut does it."""

    def __init__(self, spec: ModelSpec, threads: int = 1) -> None:
        """Load the networks; raise ModelError where one is missing, damaged or not as described."""
        if spec.role != "estimator":
            raise ModelError(f"{spec.name} is a {spec.role}: choose an estimator of 'edge-agender models list'")
        self.spec = spec
        self.crop_px = max(spec.input.size)
        self.crop_margin = spec.input.margin
        self.aligned = spec.input.align == "arcface"
        self._parts = [(part.outputs, open_runner(spec, part, threads)) for part in spec.networks]
        # A network whose tensors cannot be read as described must fail here, not at the first face.
        self.estimate([np.zeros((self.crop_px, self.crop_px, 3), np.uint8)])

    @property
    def busy_s(self) -> float:
        """How long its networks alone have run so far."""
        return sum(runner.busy_s for _, runner in self._parts)

    def estimate(self, crops: Sequence[Picture]) -> list[Estimate | None]:
        """Return one estimate a crop; None where the crop is empty or the network gave no finite number."""
        # All networks first: reading is quicker where the code for it has just run.
        answers = [
            [(outputs, _plain(runner.feed(crop))) for outputs, runner in self._parts] if crop.size else []
            for crop in crops
        ]
        return [read_estimate(each) for each in answers]


def _plain(outputs: Mapping[str, Array]) -> TensorValues:
    """A few numbers each: as floats they are read ten times as fast as from arrays."""
    return {name: array.ravel().tolist() for name, array in outputs.items()}


def read_estimate(answers: Sequence[tuple[Outputs, TensorValues]]) -> Estimate | None:
    """Return what the networks' outputs say together; None where the age or the gender is no finite number."""
    years, years_sd, p_female = float("nan"), float("nan"), float("nan")
    for outputs, tensors in answers:
        if outputs.age:
            years, years_sd = read_age(tensors, outputs.age)
        if outputs.age_stages:
            years, years_sd = read_stages(tensors, outputs.age_stages)
        if outputs.age_sd:
            years_sd = read_deviation(tensors, outputs.age_sd)
        if outputs.gender:
            p_female = read_gender(tensors, outputs.gender)
    if not (math.isfinite(years) and math.isfinite(p_female)):
        return None
    return Estimate(min(max(years, 0.0), MAX_YEARS), years_sd if math.isfinite(years_sd) else float("nan"), p_female)


def read_age(tensors: TensorValues, spec: AgeOutput) -> tuple[float, float]:
    """Return years and, where the network says a distribution, its standard deviation; NaN else."""
    values = _values(tensors, spec)
    if spec.decode == "years":
        _expect(values, 1, spec.tensor)
        return values[0] * spec.multiply + spec.add, float("nan")
    years = spec.centres if spec.decode == "bins" else [spec.first + spec.step * bin for bin in range(spec.count)]
    _expect(values, len(years), spec.tensor)
    return decode.expectation(decode.softmax(values) if spec.softmax else values, years)


def read_stages(tensors: TensorValues, spec: StagewiseOutput) -> tuple[float, float]:
    """Return years and their deviation from SSR-Net's stages."""
    values = _values(tensors, spec)
    _expect(values, spec.count, spec.tensor)
    bins = sum(spec.bins)
    return decode.stagewise(
        values[:bins],
        values[bins : 2 * bins],
        values[2 * bins :],
        spec.bins,
        spec.range_years,
        spec.lambda_offset,
        spec.lambda_delta,
    )


def read_deviation(tensors: TensorValues, spec: DeviationOutput) -> float:
    """Return one standard deviation of the age, in years."""
    values = _values(tensors, spec)
    _expect(values, 1, spec.tensor)
    value = values[0] * spec.multiply + spec.add
    return math.exp(0.5 * min(value, 20.0)) if spec.decode == "log_variance" else max(value, 0.0)


def read_gender(tensors: TensorValues, spec: GenderOutput) -> float:
    """Return the probability of female."""
    values = _values(tensors, spec)
    if spec.decode == "two":
        _expect(values, 2, spec.tensor)
        return decode.temper(decode.probability_of_two(values, spec.female, spec.logits), spec.temperature)
    _expect(values, 1, spec.tensor)
    rising = decode.temper(decode.probability_of_one(values[0], spec.low, spec.high, spec.logits), spec.temperature)
    return rising if spec.rises_to == "female" else 1.0 - rising


def _values(tensors: TensorValues, spec: OutputSpec) -> Sequence[float]:
    values = _find(tensors, spec.tensor)
    return values[slice(*spec.columns)] if spec.columns else values


def _find(tensors: TensorValues, name: str | None) -> Sequence[float]:
    if name is None and len(tensors) == 1:
        return next(iter(tensors.values()))
    if name is None or name not in tensors:
        raise ModelError(f"the network has no output {name or 'of its own'}; it has {', '.join(sorted(tensors))}")
    return tensors[name]


def _expect(values: Sequence[float], count: int, name: str | None) -> None:
    if len(values) != count:
        raise ModelError(f"output {name or ''} has {len(values)} numbers, the manifest's decoding wants {count}")
