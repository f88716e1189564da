"""A Config -> the opened networks and the pipeline; the only place where a configured model is looked up."""

from __future__ import annotations

from collections.abc import Callable

from edge_agender.common.timing import StageTimes
from edge_agender.config.audience import TrackingConfig
from edge_agender.config.settings import DETECTOR_MODELS, Config, DetectorConfig, EstimatorConfig
from edge_agender.inference.catalogue import Catalogue
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision.detectors import open_detector
from edge_agender.vision.estimator import ModelEstimator
from edge_agender.vision.gating import Cadence
from edge_agender.vision.pipeline import Detector, Pipeline
from edge_agender.vision.tracking.tracker import Tracker


def build_pipeline(
    config: Config, times: StageTimes | None = None, around: Callable[[Detector], Detector] | None = None
) -> Pipeline:
    """Open the detector and the estimator that are configured; raise ModelError where one cannot run.

    `around` may put something between the detector and the pipeline that watches what is found.
    """
    catalogue = Catalogue(config.models.public_key)
    spec = detector_model(config.detector, catalogue)
    detector, tracking = with_model_thresholds(config, spec)
    opened = open_detector(detector, spec)
    return Pipeline(
        around(opened) if around else opened,
        configured_estimator(config.estimator, catalogue),
        Tracker(tracking),
        Cadence(config.gating),
        spare_estimates=config.gating.estimates,
        times=times,
    )


def configured_models(config: Config) -> tuple[ModelSpec | None, ModelSpec]:
    """Return the installed models that detector and estimator run, as they are described now. Raises ModelError."""
    catalogue = Catalogue(config.models.public_key)
    return detector_model(config.detector, catalogue), catalogue.find(config.estimator.model)


def configured_detector(config: DetectorConfig, catalogue: Catalogue | None = None) -> Detector:
    """Return the detector of a configuration; raise ModelError where it cannot run."""
    return open_detector(config, detector_model(config, catalogue or Catalogue()))


def configured_estimator(config: EstimatorConfig, catalogue: Catalogue | None = None) -> ModelEstimator:
    """Return the estimator of a configuration; raise ModelError where it cannot run."""
    return ModelEstimator((catalogue or Catalogue()).find(config.model), config.threads)


def detector_model(config: DetectorConfig, catalogue: Catalogue) -> ModelSpec | None:
    """Return the model that a configured detector runs; None for a kind that has none. Raises ModelError."""
    name = config.model or DETECTOR_MODELS.get(config.kind)
    return None if config.kind == "haar" or name is None else catalogue.find(name)


def with_model_thresholds(config: Config, spec: ModelSpec | None) -> tuple[DetectorConfig, TrackingConfig]:
    """Return the sections with the model's two thresholds in force: one to make sure of a face, a lower to follow it.

    A score_threshold in the configuration is the only one. After BYTE (Zhang et al., ECCV 2022).
    """
    detector, tracking = config.detector, config.tracking
    found = spec.detection if spec is not None and detector.kind == "ssd" else None
    if detector.score_threshold is not None or found is None or found.keep_threshold is None:
        return detector, tracking
    confirm_score = max(tracking.confirm_score, found.score_threshold)
    return (
        detector.model_copy(update={"score_threshold": found.keep_threshold}),
        tracking.model_copy(update={"confirm_score": confirm_score}),
    )
