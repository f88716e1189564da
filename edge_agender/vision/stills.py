"""One still picture -> the faces in it, as the plain data that `edge-agender predict` prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from edge_agender.common.media import PICTURE_SUFFIXES
from edge_agender.config.settings import DetectorConfig, EstimatorConfig
from edge_agender.imaging.frame import Frame, Picture
from edge_agender.imaging.pictures import read_picture
from edge_agender.imaging.preprocess import mirrored, small_luma, to_bgr
from edge_agender.vision.assembly import configured_detector, configured_estimator
from edge_agender.vision.faces import Detection, Estimate
from edge_agender.vision.pipeline import Detector, Estimator, cut
from edge_agender.vision.tracking.evidence import mean_of

SMALL_SIZE = (320, 240)


def open_predictor(detector: str, estimator: str | None, threshold: float | None) -> Callable[[Path], dict[str, Any]]:
    """Return what predicts one picture file, with a kind of detector, a model's name and a score threshold.

    Raises ModelError; what is returned raises MediaError.
    """
    found = DetectorConfig.model_validate({"kind": detector, "score_threshold": threshold, "min_face_px": 1})
    model = EstimatorConfig() if estimator is None else EstimatorConfig(model=estimator)
    opened = configured_detector(found), configured_estimator(model)
    return lambda path: predict_file(path, *opened)


def frame_of(image_bgr: Picture, small_size: tuple[int, int] = SMALL_SIZE) -> Frame:
    """Return a still picture as a frame, its luma scaled to fit inside `small_size` as a camera's would be."""
    return Frame(sequence=0, captured_s=0.0, utc_s=0.0, small=small_luma(image_bgr, small_size), full=image_bgr)


def predict_image(image: Picture, detector: Detector, estimator: Estimator) -> dict[str, Any]:
    """Return {"width", "height", "faces"} of a grey, B, G, R or B, G, R, A picture; boxes in its pixels, best first."""
    image_bgr = to_bgr(image)
    height, width = image_bgr.shape[:2]
    detections = detector.detect(frame_of(image_bgr))
    crops = [cut(image_bgr, found.box, found.landmarks, estimator) for found in detections]
    # A camera sees a face again and mirrors every other crop of it; a single picture is looked at both ways.
    both = zip(estimator.estimate(crops), estimator.estimate([mirrored(crop) for crop in crops]), strict=True)
    estimates = [mean_of(*views) for views in both]
    faces = [face_entry(found, estimate) for found, estimate in zip(detections, estimates, strict=True)]
    return {"width": width, "height": height, "faces": faces}


def predict_file(path: Path, detector: Detector, estimator: Estimator) -> dict[str, Any]:
    """Return {"path", "width", "height", "faces"} of a picture file; raise MediaError where it is none."""
    return {"path": str(path)} | predict_image(read_picture(path), detector, estimator)


def face_entry(found: Detection, estimate: Estimate | None) -> dict[str, Any]:
    """Return one face as plain data; age and gender are null where the network gave no number."""
    entry: dict[str, Any] = {"box": [round(value, 1) for value in found.box], "score": round(found.score, 4)}
    if estimate is None:
        return entry | {"age": None, "gender": None}
    sd = None if math.isnan(estimate.years_sd) else round(estimate.years_sd, 2)
    label = "female" if estimate.p_female >= 0.5 else "male"
    return entry | {
        "age": {"years": round(estimate.years, 2), "sd": sd},
        "gender": {"label": label, "p_female": round(estimate.p_female, 4)},
    }


def picture_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files given, and the pictures below the folders given, in the order of their names."""
    for path in paths:
        if path.is_dir():
            inside = (each for each in path.rglob("*") if each.suffix.lower() in PICTURE_SUFFIXES)
            yield from sorted(each for each in inside if each.is_file())
        else:
            yield path
