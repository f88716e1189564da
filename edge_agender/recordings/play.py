"""A recording -> what the service would make of it, frame by frame: the true source, pipeline and counting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from edge_agender.audience.counting import Audience
from edge_agender.audience.distance import counted_focal_px
from edge_agender.audience.measures import Visit
from edge_agender.audience.visits import Presence
from edge_agender.capture.thread import Capture
from edge_agender.config.settings import Config
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.geometry import Box
from edge_agender.vision.assembly import build_pipeline
from edge_agender.vision.faces import Detection, Face
from edge_agender.vision.pipeline import Detector, Observation

# How long one waits for a frame before looking at whether to stop.
TICK_S = 0.25
# What is smaller than this in the full picture is not shown as a face that is too small either: it is noise.
LEAST_SHOWN_PX = 8.0


@dataclass(frozen=True, slots=True)
class Step:
    """One frame and what came of it. `frame` is given back when the next step is asked for.

    `unconfirmed`: faces that are followed and not counted yet. `too_small`: boxes below detector.min_face_px, in
    pixels of the full picture. `present`: by track. `visits`: those that ended with this frame. `t_s`: since the
    first frame.
    """

    frame: Frame
    t_s: float
    observation: Observation
    unconfirmed: tuple[Face, ...]
    too_small: tuple[Box, ...]
    present: dict[int, Presence]
    visits: Sequence[Visit]


class BySize:
    """A detector that sets aside the faces below a height, in pixels of the full picture, for whoever asks."""

    def __init__(self, detector: Detector, least_px: float) -> None:
        self._detector, self._least_px = detector, least_px
        self.too_small: tuple[Box, ...] = ()

    @property
    def busy_s(self) -> float:
        return self._detector.busy_s

    def detect(self, frame: Frame) -> list[Detection]:
        found = self._detector.detect(frame)
        self.too_small = tuple(each.box for each in found if each.box.height < self._least_px)
        return [each for each in found if each.box.height >= self._least_px]


class Player:
    """Plays one source; a context manager. Opening raises what the source and the models raise.

    `start_utc_s` is when the recording is taken to have begun. `until_end` False starts it again for ever.
    """

    def __init__(self, config: Config, start_utc_s: float | None = None, *, until_end: bool = True) -> None:
        self._config = config
        self._start_utc_s = time.time() if start_utc_s is None else start_utc_s
        self._by_size: BySize | None = None
        with ExitStack() as undo:
            self.capture = Capture(config.source, until_end=until_end)
            undo.callback(self.capture.close)
            least_px = min(LEAST_SHOWN_PX, config.detector.min_face_px)
            detector = config.detector.model_copy(update={"min_face_px": least_px})
            self.pipeline = build_pipeline(config.model_copy(update={"detector": detector}), around=self._sorted)
            undo.pop_all()
        self._audience = Audience(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.capture.close()

    def steps(self) -> Iterator[Step | None]:
        """Yield a step a frame; None where none came for a moment, so that the caller can look up."""
        first_s: float | None = None
        while True:
            frame = self.capture.slot.take(TICK_S)
            if frame is None:
                if self.capture.ended:
                    return
                yield None
                continue
            first_s = frame.captured_s if first_s is None else first_s
            t_s = frame.captured_s - first_s
            with frame.altered(utc_s=self._start_utc_s + t_s) as dated:
                yield self._step(dated, t_s)

    def close_visits(self) -> list[Visit]:
        """End the visits that go on, as at the end of the recording."""
        return self._audience.close()

    def _sorted(self, detector: Detector) -> Detector:
        self._by_size = BySize(detector, self._config.detector.min_face_px)
        return self._by_size

    def _step(self, frame: Frame, t_s: float) -> Step:
        observation = self.pipeline.process(frame)
        focal_px = counted_focal_px(self._config.audience.distance, observation.picture_px[0], observation.focal_px)
        visits = self._audience.observe(
            observation.faces,
            now_s=observation.captured_s,
            utc_s=observation.utc_s,
            focal_length_px=focal_px,
            luma=observation.mean_luma,
            pictures=[picture.track_id for picture in observation.pictures],
        )
        self._audience.windows_due(observation.utc_s)
        self._audience.demographics_due(observation.utc_s)
        too_small = self._by_size.too_small if self._by_size else ()
        return Step(frame, t_s, observation, self.pipeline.unconfirmed, too_small, self._audience.present(), visits)
