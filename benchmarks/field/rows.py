"""The rows of the comparisons: whose networks there are, and how each is opened. ModelError where one cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.field.convert import AGE_GENDER_NET, FACERES
from benchmarks.field.detectors import OnnxDetector
from benchmarks.field.dlib_pair import DlibPair, size_bytes
from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.inference.catalogue import Catalogue, find_model
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision.assembly import configured_detector, detector_model
from edge_agender.vision.estimator import ModelEstimator
from edge_agender.vision.pipeline import Detector, Estimator


@dataclass(frozen=True)
class Folders:
    """Where others' networks lie: detectors' .onnx as published, and what benchmarks.field.convert has made."""

    models: Path | None = None
    field: Path | None = None


@dataclass(frozen=True)
class DetectorRow:
    """`open` returns the detector, with its score threshold, and the bytes of its network, None where unknown."""

    title: str
    input: str
    open: Callable[[Folders, float], tuple[Detector, int | None]]


@dataclass(frozen=True)
class EstimatorRow:
    """An estimator and the bytes of its networks, and the kind of detector whose boxes it gets."""

    title: str
    detector: str
    open: Callable[[Folders], tuple[Estimator, int | None]]


def _size(spec: ModelSpec | None) -> int | None:
    if spec is None:
        return None
    sizes = [file.size_bytes for network in spec.networks for file in network.files]
    return None if None in sizes else sum(size for size in sizes if size)


def _kind(kind: str) -> Callable[[Folders, float], tuple[Detector, int | None]]:
    def opened(_: Folders, threshold: float) -> tuple[Detector, int | None]:
        config = _config(threshold).model_copy(update={"kind": kind})
        return configured_detector(config), _size(detector_model(config, Catalogue()))

    return opened


def _onnx(name: str, side_px: tuple[int, int]) -> Callable[[Folders, float], tuple[Detector, int | None]]:
    def opened(folders: Folders, threshold: float) -> tuple[Detector, int | None]:
        path = _given(folders.models, "--models", "the published .onnx files") / name
        return OnnxDetector(path, side_px, _config(threshold)), path.stat().st_size

    return opened


def _config(threshold: float) -> DetectorConfig:
    return DetectorConfig(score_threshold=threshold, min_face_px=1)


def _installed(name: str) -> Callable[[Folders], tuple[Estimator, int | None]]:
    def opened(_: Folders) -> tuple[Estimator, int | None]:
        spec = find_model(name)
        return ModelEstimator(spec), _size(spec)

    return opened


def _converted(name: str) -> Callable[[Folders], tuple[Estimator, int | None]]:
    def opened(folders: Folders) -> tuple[Estimator, int | None]:
        folder = _given(folders.field, "--field", "what python -m benchmarks.field.convert makes")
        spec = find_model(name, folder, folder)
        return ModelEstimator(spec), _size(spec)

    return opened


def _dlib(_: Folders) -> tuple[Estimator, int | None]:
    pair = DlibPair()
    return pair, size_bytes()


def _given(folder: Path | None, flag: str, what: str) -> Path:
    if folder is None:
        raise ModelError(f"give {flag} FOLDER with {what}")
    return folder


OUR_DETECTOR, OUR_ESTIMATOR = "face-ssd", "agender-ssrnet"
DETECTORS = (
    DetectorRow(OUR_DETECTOR, "320x240", _kind("ssd")),
    DetectorRow("YuNet-n", "320x256", _onnx("yunet_n.onnx", (320, 256))),
    DetectorRow("YuNet-s", "320x256", _onnx("yunet_s.onnx", (320, 256))),
    DetectorRow("SCRFD-2.5G", "640x640", _onnx("scrfd_2.5g_kps.onnx", (640, 640))),
    DetectorRow("res10", "300x300", _kind("res10")),
    DetectorRow("Haar", "320x240", _kind("haar")),
)
ESTIMATORS = (
    EstimatorRow("the best-known demo, as configured", "res10", _installed("ssrnet-demo")),
    EstimatorRow("the best published weights and margin", "res10", _installed("ssrnet")),
    EstimatorRow(OUR_ESTIMATOR, "ssd", _installed("agender-ssrnet")),
    EstimatorRow("agender-edge", "ssd", _installed("agender-edge")),
    EstimatorRow("SSR-Net as published, our boxes", "ssd", _installed("ssrnet")),
    EstimatorRow("faceres-deep (Human)", "ssd", _converted(FACERES)),
    EstimatorRow("dlib's pair", "ssd", _dlib),
    EstimatorRow("AgeGenderNet (face-api)", "ssd", _converted(AGE_GENDER_NET)),
)
