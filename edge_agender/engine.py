"""The main loop's body: take a frame, look at it, hand on what it gives rise to. Built and driven by service."""

from __future__ import annotations

import logging
import secrets
import time
from types import TracebackType
from typing import Self

from edge_agender import __version__
from edge_agender.capture import Capture
from edge_agender.detectors import open_detector
from edge_agender.estimator import Estimator
from edge_agender.gating import Cadence
from edge_agender.health import HealthMeter
from edge_agender.messages import Sender, health_message
from edge_agender.models import find_model
from edge_agender.pipeline import Pipeline
from edge_agender.records import Frame
from edge_agender.reporter import Reporter
from edge_agender.settings import Config
from edge_agender.sinks import Sink
from edge_agender.stages import StageTimes
from edge_agender.tracking import Tracker

log = logging.getLogger(__name__)

# The longest that a step waits for a frame: signals, health and the source's troubles are looked at this often.
TICK_S = 0.25
# How long the last messages of a recording may take to reach the broker.
DRAIN_S = 10.0


def build_pipeline(config: Config, times: StageTimes | None = None) -> Pipeline:
    """Open the detector and the estimator that are configured; raise ModelError where one cannot run."""
    return Pipeline(
        open_detector(config.detector),
        Estimator(find_model(config.estimator.model), config.estimator.threads),
        Tracker(config.tracking),
        Cadence(config.gating),
        spare_estimates=config.gating.estimates,
        times=times,
    )


def sender_of(config: Config) -> Sender:
    """Return who speaks in this process's messages, with a new boot id."""
    qos = config.mqtt.qos.model_dump()
    return Sender(config.mqtt.prefix, config.device.name, secrets.token_hex(8), __version__, qos)


class Engine:
    """Capture, pipeline and reporter at work on one sink. A context manager; opening raises what an edge raises."""

    def __init__(self, config: Config, sink: Sink, sender: Sender, *, until_end: bool) -> None:
        self._config, self._sink, self._sender = config, sink, sender
        self._until_end = until_end
        self._times = StageTimes()
        self._capture = Capture(config.source, until_end=until_end, times=self._times)
        try:
            self._pipeline = build_pipeline(config, self._times)
        except BaseException:
            self._capture.close()
            raise
        self._reporter = Reporter(config, sender)
        now_s = time.monotonic()
        self._health = HealthMeter(now_s)
        self._health_sequence = 0
        self._health_due_s = now_s + config.publish.health_s
        self._alarms: dict[str, None] = {}
        self._source_progress_s = now_s
        self.fresh = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.close()

    def step(self) -> bool:
        """Work on the next frame, or wait a moment for one; False when none will ever come.

        `fresh` then tells whether there was progress that a supervisor may count on.
        """
        frame = self._capture.slot.take(TICK_S)
        self.fresh = frame is not None
        if frame is not None:
            self._look_at(frame)
        elif self._capture.ended:
            return False
        else:
            self.fresh = self._source_tries()
        self._tell_health(time.monotonic())
        return True

    def finish(self) -> None:
        """Wait for the last messages of a recording to be sent."""
        if not self._sink.drain(DRAIN_S):
            log.warning("the broker did not take the last messages within %.0f s", DRAIN_S)

    def alarm(self, text: str) -> None:
        """Show a trouble in the health messages from now on."""
        self._alarms[text] = None

    def reconfigure(self, config: Config) -> None:
        """Let a new configuration take over; raise, with the old one still at work, what cannot be."""

    def _look_at(self, frame: Frame) -> None:
        observation = self._pipeline.process(frame)
        with self._times.measure("encode"):
            messages = list(self._reporter.observe(observation))
        with self._times.measure("publish"):
            for message in messages:
                self._sink.put(message)
        self._health.frame_done(time.monotonic() - observation.captured_s)

    def _source_tries(self) -> bool:
        """True where a source without frames just now has made another attempt: it is troubled, but not stuck."""
        progress_s = self._capture.progress_s
        tried = self._capture.problem is not None and progress_s > self._source_progress_s
        self._source_progress_s = progress_s
        return tried

    def _tell_health(self, now_s: float) -> None:
        if now_s < self._health_due_s:
            return
        self._health_due_s = now_s + self._config.publish.health_s
        problem = self._capture.problem
        sample = self._health.sample(
            now_s,
            time.time(),
            work=self._pipeline.work,
            dropped_frames=self._capture.slot.dropped,
            outbox=self._sink.outbox(),
            link=self._sink.link(),
            alarms=(*self._alarms, *([problem] if problem else ())),
        )
        self._sink.put(health_message(self._sender, sample, self._health_sequence))
        self._health_sequence += 1
