"""Faces of known age and gender that no model was trained on, as a camera would find and estimate them."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agender.audience.demography import AgeBands
from edge_agender.config.settings import DetectorConfig, EstimatorConfig
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.preprocess import mirrored
from edge_agender.vision.assembly import configured_detector, configured_estimator
from edge_agender.vision.faces import Detection, Estimate
from edge_agender.vision.pipeline import Detector, cut
from edge_agender.vision.stills import frame_of
from edge_agender.vision.tracking.evidence import mean_of

# A face that fills its picture is found where there is something round it.
BORDER = 0.3


@dataclass(frozen=True)
class Known:
    """A face whose age and gender are known, and what was estimated of it."""

    age: float
    gender: str
    estimate: Estimate

    def cell(self, bands: AgeBands) -> tuple[str, str]:
        return self.gender, bands.of(self.age)


def found(data: Path, detector: Detector, every: int = 1) -> Iterator[tuple[Picture, Detection, float, str]]:
    """Yield picture, detection, age and gender of faces with exact ages that no model was trained on.

    APPA-REAL's test part and FG-NET, each `every`th; a face that is not found is left out.
    """
    for name in ("appareal", "fgnet"):
        pictures = _unpacked(data / f"{name}.tar")
        with (data / f"{name}.csv").open() as lines:
            rows = [row for row in csv.DictReader(lines) if row.get("split", "test") == "test"]
        for row in rows[::every]:
            picture = _read(pictures[row["path"]])
            detection = _nearest_the_middle(picture, detector)
            if detection is not None and row["gender"] in ("female", "male"):
                yield picture, detection, float(row["age"]), row["gender"]


def estimated(data: Path) -> list[Known]:
    """Return every stranger's estimate by the shipped models, of both ways round."""
    detector, estimator = configured_detector(DetectorConfig()), configured_estimator(EstimatorConfig())
    known = []
    for picture, detection, age, gender in found(data, detector):
        crop = cut(picture, detection.box, detection.landmarks, estimator)
        estimate = mean_of(estimator.estimate([crop])[0], estimator.estimate([mirrored(crop)])[0])
        if estimate is not None:
            known.append(Known(age, gender, estimate))
    return known


def _unpacked(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member)) is not None}


def _read(raw: bytes) -> Picture:
    picture = np.asarray(cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    pad = round(BORDER * max(picture.shape[:2]))
    return np.asarray(cv2.copyMakeBorder(picture, *[pad] * 4, cv2.BORDER_CONSTANT, value=(127,) * 3), np.uint8)


def _nearest_the_middle(picture: Picture, detector: Detector) -> Detection | None:
    middle = picture.shape[1] / 2, picture.shape[0] / 2

    def off_middle(found: Detection) -> float:
        x, y = found.box.centre
        return abs(x - middle[0]) + abs(y - middle[1])

    return min(detector.detect(frame_of(picture)), key=off_middle, default=None)
