"""Which of the shipped estimators this board can afford, by what their networks take on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_agender.config.settings import Config, EstimatorConfig
from edge_agender.errors import EdgeAgenderError
from edge_agender.inference.catalogue import Catalogue
from edge_agender.inference.spec import ModelSpec
from edge_agender.inference.speed import model_s
from edge_agender.vision.assembly import configured_models, detector_model

STANDARD, LARGER = EstimatorConfig().model, "agender-edge"
# The larger one is for a board whose networks are done with this many faces, all searched and all estimated, within
# this part of a frame's time. The rest is for pictures, crops, tracks and messages, and for the sign's own player.
FACES, PART = 4, 0.5
RUNS = 30
Measure = Callable[[ModelSpec], float]


@dataclass(frozen=True, slots=True)
class Choice:
    """The estimator for this board, and why, in one line. Milliseconds are None where nothing was measured."""

    model: str
    reason: str
    larger_ms: float | None = None
    budget_ms: float | None = None


def choose_estimator(config: Config, measure: Measure | None = None) -> Choice:
    """Return the larger estimator where detector and FACES faces of it fit into PART of a frame at source.rate_hz.

    `measure` says the seconds of a model for one picture or face; by default it is run here, as many threads as are
    configured, which takes some seconds on a slow board.
    """
    catalogue = Catalogue(config.models.public_key)
    try:
        detector, larger = detector_model(config.detector, catalogue), catalogue.find(LARGER)
        if detector is None or not gives_landmarks(detector):
            why = f"{LARGER} needs landmarks, which detector.kind {config.detector.kind} does not give"
            return Choice(STANDARD, f"{STANDARD}: {why}")
        seconds = measure or (lambda spec: model_s(spec, threads_of(spec, config), RUNS))
        return by_budget(seconds(detector), seconds(larger), config.source.rate_hz)
    except EdgeAgenderError as error:
        return Choice(STANDARD, f"{STANDARD}: not measured: {error}")


def by_budget(detector_s: float, larger_s: float, rate_hz: float) -> Choice:
    """Return the choice that these durations of the networks, of a picture and of a face, leave."""
    whole_ms, budget_ms = 1e3 * (detector_s + FACES * larger_s), 1e3 * PART / rate_hz
    model, held = (LARGER, "within") if whole_ms <= budget_ms else (STANDARD, "more than")
    reason = (
        f"{model}: with {FACES} faces a frame takes face detection and {LARGER} {whole_ms:.1f} ms here, "
        f"{held} {budget_ms:.0f} ms (half a frame at {rate_hz:g} Hz)"
    )
    return Choice(model, reason, round(whole_ms, 3), round(budget_ms, 3))


def threads_of(spec: ModelSpec, config: Config) -> int:
    """Return how many threads a model is configured to run on."""
    return config.detector.threads if spec.role == "detector" else config.estimator.threads


def landmarks_missing(config: Config) -> str | None:
    """Return what an estimator that aligns faces loses by the configured detector; None where it loses nothing."""
    try:
        detector, estimator = configured_models(config)
    except EdgeAgenderError:
        return None  # said by whoever opens them
    if estimator.input.align == "box" or (detector is not None and gives_landmarks(detector)):
        return None
    kind = config.detector.kind
    return f"{estimator.name} aligns faces by landmarks, which detector.kind {kind} does not give: set it to ssd"


def gives_landmarks(detector: ModelSpec) -> bool:
    return detector.detection is not None and detector.detection.decode in ("landmarks", "yunet")
