"""One frame in, what was seen in it out: detect, crop, estimate, track. Sees Protocols, never an edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agender.preprocess import crop_face
from edge_agender.quality import crop_quality
from edge_agender.records import Detection, Estimate, Face, Frame, Picture
from edge_agender.stages import StageTimes


class Source(Protocol):
    """Yields frames. A live one loses what nobody takes in time; another waits."""

    live: bool

    def read(self) -> Frame | None:
        """Block until the next frame; None at the end. Raises CameraError, MediaError or StalledError."""

    def close(self) -> None:
        """Give the device back; may be called twice."""


class Detector(Protocol):
    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces, boxes in pixels of frame.full and inside it, best score first."""


class Estimator(Protocol):
    crop_px: int
    crop_margin: float

    def estimate(self, crops: Sequence[Picture]) -> list[Estimate | None]:
        """Return one estimate a crop (crop_px, crop_px, 3) B, G, R; None where the network gave no number."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one frame showed. No pixels: this is all that leaves the pipeline."""

    sequence: int
    captured_s: float
    utc_s: float
    faces: tuple[Face, ...]
    searched: bool
    mean_luma: float
