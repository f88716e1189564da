"""How fast each network runs alone, with one thread and with all cores, beside the best that this machine reached."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from edge_agender.commands.benchmark.report import ModelSpeed
from edge_agender.config.settings import DETECTOR_MODELS, Config, EstimatorConfig
from edge_agender.device.paths import shipped_folder
from edge_agender.inference import tflite
from edge_agender.inference.catalogue import find_model
from edge_agender.inference.network import open_network
from edge_agender.inference.spec import ModelSpec

MODEL_RUNS = 200
# What an installer may choose between: shown beside the configured one.
LARGER_ESTIMATOR = "agender-edge"
PEAK_MODEL = "peak-conv.tflite"
PEAK_MULTIPLY_ADDS = 64 * 64 * 9 * 64 * 64


def median_s(call: Callable[[], object], runs: int) -> float:
    """Return the median duration of a call after a tenth of the runs to warm up."""
    durations = []
    for _ in range(runs + runs // 10):
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations[runs // 10 :])


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
        seconds = _seconds(spec, config.detector.threads)
        rate = spec.multiply_adds / seconds / 1e9 if spec.multiply_adds else None
        yield ModelSpeed(
            name=name,
            runtime=spec.networks[0].runtime,
            multiply_adds=spec.multiply_adds,
            median_ms=round(seconds * 1e3, 4),
            gmac_per_s=None if rate is None else round(rate, 2),
            part_of_peak=None if rate is None else round(rate / peak, 4),
            all_cores_ms=round(_seconds(spec, cores) * 1e3, 4) if cores > 1 and _has_threads(spec) else None,
        )


def _names(config: Config) -> list[str]:
    names = [config.estimator.model]
    if names == [EstimatorConfig().model]:
        names.append(LARGER_ESTIMATOR)
    default = DETECTOR_MODELS.get(config.detector.kind)
    if default:
        names.insert(0, config.detector.model or default)
    return names


def _has_threads(spec: ModelSpec) -> bool:
    return all(part.runtime == "tflite" for part in spec.networks)


def _seconds(spec: ModelSpec, threads: int) -> float:
    networks = [open_network(spec, part, threads) for part in spec.networks]
    value = np.zeros(spec.input.shape, spec.input.dtype)

    def once() -> None:
        for network in networks:
            network.run(value)

    return median_s(once, MODEL_RUNS)
