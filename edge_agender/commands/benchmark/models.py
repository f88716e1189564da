"""How fast each network runs alone, with one thread and with all cores, beside the best that this machine reached."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from edge_agender.commands.benchmark.report import EstimatorChoice, ModelSpeed
from edge_agender.config.settings import DETECTOR_MODELS, Config
from edge_agender.device.paths import shipped_folder
from edge_agender.inference import tflite
from edge_agender.inference.catalogue import find_model
from edge_agender.inference.spec import ModelSpec
from edge_agender.inference.speed import median_s, model_s
from edge_agender.vision.affordable import FACES, LARGER, STANDARD, choose_estimator, threads_of

MODEL_RUNS = 200
PEAK_MODEL = "peak-conv.tflite"
PEAK_MULTIPLY_ADDS = 64 * 64 * 9 * 64 * 64


def peak_gmac_per_s(threads: int) -> float:
    """Return the best rate of one large int8 convolution: what this silicon and this runtime can do."""
    network = tflite.Network((shipped_folder() / PEAK_MODEL).read_bytes(), threads, PEAK_MODEL)
    value = np.zeros(network.input.shape, network.input.dtype)
    return PEAK_MULTIPLY_ADDS / median_s(lambda: network.run(value), 60) / 1e9


def model_speeds(config: Config, peak: float) -> Iterator[ModelSpeed]:
    """Yield each model that is configured, and the larger estimator that ships, each run alone again and again."""
    cores = os.cpu_count() or 1
    for name in _names(config):
        spec = find_model(name, public_key=config.models.public_key)
        seconds = model_s(spec, threads_of(spec, config), MODEL_RUNS)
        rate = spec.multiply_adds / seconds / 1e9 if spec.multiply_adds else None
        yield ModelSpeed(
            name=name,
            runtime=spec.networks[0].runtime,
            multiply_adds=spec.multiply_adds,
            median_ms=round(seconds * 1e3, 4),
            gmac_per_s=None if rate is None else round(rate, 2),
            part_of_peak=None if rate is None else round(rate / peak, 4),
            all_cores_ms=round(model_s(spec, cores, MODEL_RUNS) * 1e3, 4) if cores > 1 and _has_threads(spec) else None,
        )


def estimator_choice(config: Config, models: Sequence[ModelSpeed]) -> EstimatorChoice | None:
    """Return which shipped estimator `setup` would choose on this board, by the models' times of this run.

    None where another estimator is configured.
    """
    seconds = {model.name: model.median_ms / 1e3 for model in models}
    if LARGER not in seconds:
        return None
    choice = choose_estimator(config, lambda spec: seconds[spec.name])
    return EstimatorChoice(
        model=choice.model,
        reason=choice.reason,
        faces=FACES,
        larger_ms=choice.larger_ms,
        budget_ms=choice.budget_ms,
    )


def _names(config: Config) -> list[str]:
    names = [config.estimator.model]
    if names[0] in (STANDARD, LARGER):  # what an installer chooses between, both
        names = [STANDARD, LARGER]
    default = DETECTOR_MODELS.get(config.detector.kind)
    if default:
        names.insert(0, config.detector.model or default)
    return names


def _has_threads(spec: ModelSpec) -> bool:
    return all(part.runtime == "tflite" for part in spec.networks)
