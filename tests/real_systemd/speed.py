"""How fast both networks run here: prints medians in milliseconds as JSON."""

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from edge_agender.capture.sources import open_source
from edge_agender.config.settings import DemoConfig, DetectorConfig, EstimatorConfig, SourceConfig
from edge_agender.inference.catalogue import find_model
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.estimator import ModelEstimator


def median_ms(work: Callable[[], object], rounds: int = 40) -> float:
    times_s = []
    for _ in range(rounds):
        started_s = time.process_time()
        work()
        times_s.append(time.process_time() - started_s)
    return statistics.median(times_s) * 1e3


with open_source(SourceConfig(kind="demo", demo=DemoConfig(pace=False)), threading.Event()) as source:
    frame = source.read()
detector = configured_detector(DetectorConfig())
estimator = ModelEstimator(find_model(EstimatorConfig().model), 1)
crops = [np.full((estimator.crop_px, estimator.crop_px, 3), 90, np.uint8)]
result = {"detect": median_ms(lambda: detector.detect(frame)), "estimate": median_ms(lambda: estimator.estimate(crops))}
sys.stdout.write(json.dumps(result) + "\n")
