"""How long a network takes on this board."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from edge_agender.inference.network import open_network
from edge_agender.inference.spec import ModelSpec


def median_s(call: Callable[[], object], runs: int) -> float:
    """Return the median duration of a call after a tenth of the runs to warm up."""
    durations = []
    for _ in range(runs + runs // 10):
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations[runs // 10 :])


def model_s(spec: ModelSpec, threads: int, runs: int) -> float:
    """Return the median seconds of a model for one picture or face. Raises ModelError where it cannot run."""
    networks = [open_network(spec, part, threads) for part in spec.networks]
    value = np.zeros(spec.input.shape, spec.input.dtype)

    def once() -> None:
        for network in networks:
            network.run(value)

    return median_s(once, runs)
