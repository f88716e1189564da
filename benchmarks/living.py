"""Do cheap signals tell posters, statues and hidden faces from people? On scenes that no estimator was trained on:

    python -m benchmarks.living DATA --root PICTURES

DATA has wild.csv, whose gender `none` means that no living face is there; PICTURES the unpacked wild/. For each signal
the area under the curve (0.5: nothing, 1: all) and the part of `none` that it rejects where it rejects a twentieth of
the people. The face is where the table says, so that a miss of the detector counts as its lowest score.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_agender.common.output import run_script
from edge_agender.config.settings import DetectorConfig, EstimatorConfig
from edge_agender.imaging.frame import Array
from edge_agender.imaging.geometry import Box, iou
from edge_agender.imaging.pictures import read_picture
from edge_agender.imaging.preprocess import mirrored
from edge_agender.vision.assembly import configured_detector, configured_estimator
from edge_agender.vision.faces import Landmarks
from edge_agender.vision.pipeline import Detector, Estimator, cut
from edge_agender.vision.stills import frame_of
from edge_agender.vision.tracking.evidence import mean_of
from training.first_stages.labels import POINTS, Row, part_of

REJECTED = 0.05
MODELS = ("agender-ssrnet", "agender-edge")


def signals(row: Row, root: Path, detector: Detector, estimators: dict[str, Estimator]) -> Iterator[tuple[str, float]]:
    """Yield each signal of a face; higher means a person."""
    image = read_picture(root / row["path"])
    x, y, width, height = (float(row[name]) for name in "xywh")
    box = Box(x, y, x + width, y + height)
    found = detector.detect(frame_of(image))
    overlaps = iou([each.box for each in found], [box])[:, 0] if found else np.zeros(0)
    yield (
        "detector's score",
        max((each.score for each, o in zip(found, overlaps, strict=True) if o >= 0.4), default=0.0),
    )
    yield "height in pixels", height
    points = Landmarks(*((float(row[f"{name}_x"]), float(row[f"{name}_y"])) for name in POINTS))
    for name, estimator in estimators.items():
        crop = cut(image, box, points, estimator)
        said = mean_of(*estimator.estimate([crop]), *estimator.estimate([mirrored(crop)]))
        if said is None:
            continue
        yield f"{name}: deviation of the age, low", -said.years_sd
        sure = min(max(said.p_female, 1e-6), 1 - 1e-6)
        yield f"{name}: how sure the gender is", abs(math.log(sure / (1 - sure)))


def area(people: Array, none: Array) -> float:
    """Return the probability that somebody's signal is higher than that of what is nobody; ties count half."""
    above = (people[:, None] > none[None]).mean() + 0.5 * (people[:, None] == none[None]).mean()
    return float(above)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--people", type=int, default=400, help="at most so many, evenly spread")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with (options.data / "wild.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if part_of("wild", row) != "training" and row["nose_x"]]
    none = [row for row in rows if row["gender"] == "none"]
    living = [row for row in rows if row["gender"] in ("female", "male")]
    living = [living[i * len(living) // options.people] for i in range(min(options.people, len(living)))]
    detector = configured_detector(DetectorConfig(score_threshold=0.05, min_face_px=1))
    estimators: dict[str, Estimator] = {name: configured_estimator(EstimatorConfig(model=name)) for name in MODELS}
    kinds: dict[str, tuple[list[float], list[float]]] = {}
    for place, part in enumerate((living, none)):
        for row in part:
            for name, value in signals(row, options.root, detector, estimators):
                kinds.setdefault(name, ([], []))[place].append(value)
    print(f"{len(living)} people, {len(none)} that are none")
    print(f"{'':44}{'area':>6}{f'rejects, of none, at {REJECTED:.0%} of people':>42}")
    for name, (people, nobody) in kinds.items():
        people_, nobody_ = np.asarray(people), np.asarray(nobody)
        rejects = float((nobody_ < np.quantile(people_, REJECTED)).mean())
        print(f"{name:44}{area(people_, nobody_):6.2f}{100 * rejects:40.0f} %")


if __name__ == "__main__":
    run_script(main)
