"""The demos' rows and ours, on the same labelled pictures, from one run, end to end (detect, crop, estimate):

    edge-agender models add res10; edge-agender models add ssrnet; edge-agender models add ssrnet-demo   # or --from
    python -m benchmarks.accuracy LABELS.csv... --root DIR [--border 0.3]

LABELS.csv as for `edge-agender evaluate faces`. `--border` adds a grey border of that part of the picture to each side:
res10 finds few faces that fill a picture. Every picture is estimated both ways round, by every row.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agender.commands.evaluate.figures import evaluate_faces
from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import EdgeAgenderError
from edge_agender.imaging.pictures import read_picture
from edge_agender.inference.catalogue import find_model
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.estimator import ModelEstimator
from edge_agender.vision.stills import predict_image

ROWS = (
    ("the best-known demo, as configured", "res10", "ssrnet-demo"),
    ("the best published weights and margin", "res10", "ssrnet"),
    ("ours", "ssd", "agender-ssrnet"),
    ("ours, the larger estimator", "ssd", "agender-edge"),
)
Predict = Callable[[Path], dict[str, Any]]


def predictor(kind: str, model: str, border: float) -> tuple[Predict, int | None]:
    """Return what `edge-agender predict` says of a picture with a border, and the multiply-adds of a face."""
    detector = configured_detector(DetectorConfig.model_validate({"kind": kind}))
    estimator = ModelEstimator(find_model(model))

    def predict(path: Path) -> dict[str, Any]:
        image = read_picture(path)
        pad = round(border * max(image.shape[:2]))
        grey = (127, 127, 127)
        return predict_image(
            np.asarray(cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=grey), np.uint8),
            detector,
            estimator,
        )

    return predict, estimator.spec.multiply_adds


def measure(labels: list[Path], root: Path | None, border: float) -> list[dict[str, Any]]:
    """Return one entry a row and file of labels; say why a row cannot run."""
    entries = []
    for title, kind, model in ROWS:
        try:
            predict, multiply_adds = predictor(kind, model, border)
        except EdgeAgenderError as error:
            print(f"skipped: {title}: {error}", file=sys.stderr)
            continue
        for path in labels:
            report = evaluate_faces(path, predict, root)
            figures = {name: value for name, value in report.items() if name not in ("bands", "groups")}
            entries.append({"row": title, "labels": path.stem, "multiply_adds": multiply_adds, **figures})
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="+", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--border", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    entries = measure(options.labels, options.root, options.border)
    if options.json:
        print(json.dumps(entries, indent=1))
        return
    print(f"{'':40}{'labels':10}{'M mult-adds':>12}{'found':>8}{'age error':>11}{'gender':>9}")
    for entry in entries:
        macs = "" if entry["multiply_adds"] is None else f"{entry['multiply_adds'] / 1e6:.0f}"
        print(
            f"{entry['row']:40}{entry['labels']:10}{macs:>12}{100 * entry['detected']:6.1f} %"
            f"{entry.get('mae_years', float('nan')):9.2f} y{100 * entry.get('gender_accuracy', float('nan')):7.1f} %"
        )


if __name__ == "__main__":
    main()
