"""One picture -> what is seen in it, as the plain data that `edge-agender predict` prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agender.errors import MediaError
from edge_agender.evidence import mean_of
from edge_agender.pipeline import Detector, Estimator
from edge_agender.preprocess import crop_face, mirrored, small_luma, to_bgr
from edge_agender.records import Detection, Estimate, Frame, Picture

SMALL_SIZE = (320, 240)
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
# A picture of 16 k x 16 k pixels takes 800 MB: what is larger is not a camera's.
MAX_FILE_BYTES = 100_000_000


def read_image(path: Path) -> Picture:
    """Return a picture file as (H, W, 3) B, G, R, turned as its EXIF says; raise MediaError where it is none."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}: give a picture that exists and can be read") from None
    if not raw or len(raw) > MAX_FILE_BYTES:
        raise MediaError(f"{path}: {'empty' if not raw else 'too large for a picture'}: give a photo")
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise MediaError(f"{path}: not a picture that can be read: give a jpg, png, bmp, webp or tiff file")
    return to_bgr(np.asarray(image, np.uint8))


def frame_of(image_bgr: Picture, small_size: tuple[int, int] = SMALL_SIZE) -> Frame:
    """Return a still picture as a frame, its luma scaled to fit inside `small_size` as a camera's would be."""
    return Frame(sequence=0, captured_s=0.0, utc_s=0.0, small=small_luma(image_bgr, small_size), full=image_bgr)


def predict_image(image: Picture, detector: Detector, estimator: Estimator) -> dict[str, Any]:
    """Return {"width", "height", "faces"} of a grey, B, G, R or B, G, R, A picture; boxes in its pixels, best first."""
    image_bgr = to_bgr(image)
    height, width = image_bgr.shape[:2]
    detections = detector.detect(frame_of(image_bgr))
    crops = [crop_face(image_bgr, found.box, estimator.crop_px, estimator.crop_margin) for found in detections]
    # A camera sees a face again and mirrors every other crop of it; a single picture is looked at both ways.
    both = zip(estimator.estimate(crops), estimator.estimate([mirrored(crop) for crop in crops]), strict=True)
    estimates = [mean_of(*views) for views in both]
    faces = [face_entry(found, estimate) for found, estimate in zip(detections, estimates, strict=True)]
    return {"width": width, "height": height, "faces": faces}


def predict_file(path: Path, detector: Detector, estimator: Estimator) -> dict[str, Any]:
    """Return {"path", "width", "height", "faces"} of a picture file; raise MediaError where it is none."""
    return {"path": str(path)} | predict_image(read_image(path), detector, estimator)


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
    """Yield the files given, and the pictures in the folders given, in the order of their names."""
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        else:
            yield path
