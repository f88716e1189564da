"""One frame in, what was seen in it out: detect, crop, estimate, track. Sees Protocols, never an edge."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from edge_agender.common.timing import StageTimer, StageTimes
from edge_agender.imaging.frame import Frame, Picture
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import align_face, crop_face, mirrored
from edge_agender.vision.faces import Detection, Estimate, Face, Landmarks, StillFace
from edge_agender.vision.frontalness import face_lumas, frontalness
from edge_agender.vision.gating import Cadence
from edge_agender.vision.quality import detail, sharpness
from edge_agender.vision.tracking.track import Track
from edge_agender.vision.tracking.tracker import Tracker


class Detector(Protocol):
    @property
    def busy_s(self) -> float:
        """How long its network alone has run so far."""

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces, boxes in pixels of frame.full and inside it, best score first."""


class Estimator(Protocol):
    crop_px: int
    crop_margin: float
    aligned: bool

    @property
    def busy_s(self) -> float:
        """How long its networks alone have run so far."""

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
    picture_px: tuple[int, int]
    focal_px: float | None = None
    # Pictures of faces, which are nobody: not among the faces.
    pictures: tuple[StillFace, ...] = ()


@dataclass(slots=True)
class Work:
    """What was done, and by comparison with `frames` and `faces`, what was spared."""

    frames: int = 0
    searches: int = 0
    faces: int = 0
    estimates: int = 0


class Pipeline:
    """Detector, estimator and tracker in their order. One thread."""

    def __init__(
        self,
        detector: Detector,
        estimator: Estimator,
        tracker: Tracker,
        cadence: Cadence,
        *,
        spare_estimates: bool = True,
        times: StageTimes | None = None,
    ) -> None:
        self._detector = detector
        self._estimator = estimator
        self._tracker = tracker
        self._cadence = cadence
        self._spare_estimates = spare_estimates
        self.times = times or StageTimes()
        self.work = Work()
        # Somebody aims the camera: note each face's sharpness and light, 0..1, by track.
        self.aiming = False
        self._size_px: tuple[int, int] | None = None
        self.conditions: dict[int, tuple[float, float]] = {}

    def process(self, frame: Frame) -> Observation:
        """Look at one frame; its buffers stay the caller's to give back."""
        laps = self.times.laps()
        self._follow_size(frame.size_px)
        searched = self._cadence.due(frame.small, frame.captured_s, people=self._tracker.people)
        laps.lap("gate")
        self.work.frames += 1
        tracks = self._search(frame, laps) if searched else self._tracker.predict(frame.captured_s)
        faces = tuple([track.face() for track in tracks])
        return Observation(
            frame.sequence,
            frame.captured_s,
            frame.utc_s,
            faces,
            searched,
            round(self._cadence.mean_luma, 1),
            frame.size_px,
            frame.focal_px,
            tuple(self._tracker.pictures),
        )

    @property
    def networks_s(self) -> float:
        """How long the networks alone have run so far."""
        return self._detector.busy_s + self._estimator.busy_s

    @property
    def unconfirmed(self) -> tuple[Face, ...]:
        """Faces that are followed and not believed yet: in no observation."""
        return tuple([track.face() for track in self._tracker.unsure])

    def reset(self) -> None:
        """Everybody's visit is over, as when the camera closes. What comes next may have another clock."""
        self._tracker.reset()
        self._cadence.reset()

    def take_over(self, before: Pipeline) -> None:
        """Go on with the faces that another configuration follows, and with what was counted of its work."""
        self._tracker.take_over(before._tracker)
        self.work, self.aiming, self.conditions = before.work, before.aiming, before.conditions

    def _follow_size(self, size_px: tuple[int, int]) -> None:
        """A stream that changes its size shows the same people."""
        before, self._size_px = self._size_px, size_px
        self._tracker.show(size_px)
        if before is not None and before != size_px:
            self._tracker.rescale(size_px[0] / before[0], size_px[1] / before[1])

    def _search(self, frame: Frame, laps: StageTimer) -> Sequence[Track]:
        detections = self._detector.detect(frame)
        laps.lap("detect")
        self.work.searches += 1
        tracks = self._tracker.update(detections, frame.captured_s)
        laps.lap("track")
        seen = self._tracker.visible
        if seen:
            self._look_at(frame, seen, laps)
        return tracks

    def _look_at(self, frame: Frame, seen: Sequence[Track], laps: StageTimer) -> None:
        """Crop the faces just found, learn from the crops, and overwrite them."""
        crops = [cut(frame.full, track.found, track.landmarks, self._estimator) for track in seen]
        laps.lap("crop")
        try:
            qualities = self._judge(seen, crops)
            laps.lap("judge")
            if self._estimate(seen, crops, qualities):
                laps.lap("estimate")
        finally:
            _overwrite(crops)

    def _judge(self, seen: Sequence[Track], crops: Sequence[Picture]) -> list[float]:
        """Return each crop's quality; note which way the faces look, and for whoever aims, in what light."""
        lumas = face_lumas(crops, self._estimator.crop_margin)
        try:
            sharp = sharpness(lumas)
            if any(track.pose is None for track in seen):
                for track, alike in zip(seen, frontalness(lumas), strict=True):
                    track.frontal = alike
        finally:
            lumas.fill(0)
        for track in seen:
            if track.pose is not None:
                track.frontal = track.pose.frontal
        if self.aiming:
            self.conditions = {
                track.id: (2 * each - 1, float(crop.mean()) / 255)
                for track, each, crop in zip(seen, sharp, crops, strict=True)
            }
        return [detail(track.found, track.score) * each for track, each in zip(seen, sharp, strict=True)]

    def _estimate(self, seen: Sequence[Track], crops: Sequence[Picture], qualities: Sequence[float]) -> int:
        """Estimate the faces of which that says something new; return how many."""
        wanted = [i for i, track in enumerate(seen) if not self._spare_estimates or track.needs_estimate(qualities[i])]
        self.work.faces += len(seen)
        self.work.estimates += len(wanted)
        # Every other crop of a face is mirrored: the mean over both ways errs less, and costs nothing.
        views = [mirrored(crops[i]) if seen[i].estimates % 2 else crops[i] for i in wanted]
        try:
            estimates = self._estimator.estimate(views)
        finally:
            _overwrite(views)
        for i, estimate in zip(wanted, estimates, strict=True):
            if estimate is not None:
                seen[i].add_estimate(estimate, qualities[i])
        return len(wanted)


def cut(image_bgr: Picture, box: Box, landmarks: Landmarks | None, estimator: Estimator) -> Picture:
    """Return a face's crop as the estimator wants it: by its landmarks, or by its box where it has none."""
    if estimator.aligned and landmarks is not None:
        with suppress(ValueError):
            return align_face(image_bgr, landmarks, estimator.crop_px)
    return crop_face(image_bgr, box, estimator.crop_px, estimator.crop_margin)


def _overwrite(pictures: Sequence[Picture]) -> None:
    """What a face looked like does not linger in free memory."""
    for picture in pictures:
        picture.fill(0)
