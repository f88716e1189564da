"""The main loop's body: take a frame, look at it, hand on what it gives rise to. Built and driven by service."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from edge_agender.capture.thread import Capture
from edge_agender.common.timing import StageTimes
from edge_agender.config.settings import Config, SourceConfig
from edge_agender.daemon.health import HealthMeter
from edge_agender.daemon.reporter import Reporter
from edge_agender.delivery.inbox import Announce, Orders
from edge_agender.delivery.sinks import Sink
from edge_agender.device import board
from edge_agender.device.state import LateSaver, StateFolder
from edge_agender.device.switch import Switch, SwitchState
from edge_agender.errors import ConfigError, EdgeAgenderError
from edge_agender.messages.build import enabled_message, health_message
from edge_agender.messages.discovery import discovery_message
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender
from edge_agender.vision.assembly import build_pipeline
from edge_agender.vision.pipeline import Observation

log = logging.getLogger(__name__)

# The longest that a step waits for a frame: signals, commands and health are looked at this often.
TICK_S = 0.25
# How long the last messages of a recording may take to reach the broker.
DRAIN_S = 10.0
# A plug that is pulled costs at most this much of the open windows.
SAVE_EVERY_S = 15.0
# How long a stop waits for the card.
SAVE_WAIT_S = 1.0
SWITCH_EVERY_S = 1.0
WINDOWS_STATE = "windows"
# These are taken over while running; what else changed is a restart of the process, which systemd does in a second.
TAKEN_OVER = {"source", "detector", "estimator", "gating", "tracking", "audience", "window", "privacy", "schedule"}
TAKEN_OVER |= {"models", "publish", "log"}


class Engine:
    """Capture, pipeline and reporter at work on one sink. A context manager; opening raises what an edge raises."""

    def __init__(
        self, config: Config, sink: Sink, sender: Sender, folder: StateFolder, orders: Orders, *, until_end: bool
    ) -> None:
        self.config, self._sink, self._sender = config, sink, sender
        self._folder, self._orders, self._until_end = folder, orders, until_end
        self._saver = LateSaver(folder, WINDOWS_STATE)
        self.times = StageTimes()
        self._switch = Switch(config.schedule, folder)
        self.switch_state: SwitchState | None = None
        self._switch_due_s = 0.0
        self.capture: Capture | None = None
        self._captured_before = self._dropped_before = self._restarts_before = 0
        self.observation: Observation | None = None
        with ExitStack() as undo:
            undo.callback(self._switch.close)
            undo.callback(self._close_capture)
            self._obey_switch(time.monotonic())
            self.pipeline = build_pipeline(config, self.times)
            self.reporter = Reporter(config, sender)
            self.reporter.restore(folder.load(WINDOWS_STATE))
            undo.pop_all()
        now_s = time.monotonic()
        self.health = HealthMeter(now_s)
        self._health_sequence = 0
        self._health_due_s = now_s + config.publish.health_s
        self._save_due_s = now_s + SAVE_EVERY_S
        self._alarms: dict[str, None] = {}
        self._source_progress_s = now_s
        self._throttled = board.slowed_down(board.throttling())
        self._announce()
        self.fresh = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_capture()
        self._put(self.reporter.end_visits())
        self._saver.save(self.reporter.snapshot())
        self._saver.wait(SAVE_WAIT_S)
        self._switch.close()

    @property
    def problem(self) -> str | None:
        """One line on why no frames come just now; None while they do, or while switched off."""
        return self.capture.problem if self.capture else None

    @property
    def captured(self) -> int:
        return self._captured_before + (self.capture.slot.captured if self.capture else 0)

    @property
    def dropped(self) -> int:
        return self._dropped_before + (self.capture.slot.dropped if self.capture else 0)

    @property
    def restarts(self) -> int:
        return self._restarts_before + (self.capture.restarts if self.capture else 0)

    def step(self) -> bool:
        """Work on the next frame, or wait a moment for one; False when none will ever come.

        `fresh` then tells whether there was progress that a supervisor may count on.
        """
        now_s = time.monotonic()
        self._follow_orders()
        self._obey_switch(now_s)
        if self.capture is None:
            time.sleep(TICK_S)
            self.fresh = True  # closed on purpose: there is nothing to wait for
        else:
            frame = self.capture.slot.take(TICK_S)
            self.fresh = frame is not None
            if frame is not None:
                # Given back last: overwriting a picture empties the processor's caches.
                with frame:
                    self._report(self.pipeline.process(frame))
            elif self.capture.ended:
                return False
            else:
                self.fresh = self._source_tries(self.capture)
        self._tend(time.monotonic())
        return True

    def finish(self) -> None:
        """Wait for the last messages of a recording to be sent."""
        self._close_capture()
        self._put(self.reporter.end_visits())
        if not self._sink.drain(DRAIN_S):
            log.warning("the broker did not take the last messages within %.0f s", DRAIN_S)

    def alarm(self, text: str, *, on: bool = True) -> None:
        """Show a trouble in the health messages from now on, or no longer."""
        if on:
            self._alarms[text] = None
        else:
            self._alarms.pop(text, None)

    def reconfigure(self, config: Config) -> None:
        """Let a new configuration take over without losing a count; raise, with the old one at work, what cannot be."""
        changed = {name for name in Config.model_fields if getattr(config, name) != getattr(self.config, name)}
        fixed = sorted(changed - TAKEN_OVER)
        if fixed:
            raise ConfigError(f"{', '.join(fixed)}: cannot change while running: systemctl restart edge-agender")
        pipeline = build_pipeline(config, self.times)  # raises before anything is given up
        if "schedule" in changed:
            self._replace_switch(config)
        if "source" in changed:
            self._replace_capture(config)
        self._put(self.reporter.end_visits())
        reporter = Reporter(config, self._sender)
        reporter.restore(self.reporter.snapshot())
        reporter.carry_on(self.reporter)
        pipeline.work = self.pipeline.work
        self.pipeline, self.reporter = pipeline, reporter
        self.config = config
        self._announce()
        self._switch_due_s = 0.0
        logging.getLogger().setLevel(config.log.level.upper())

    def _replace_switch(self, config: Config) -> None:
        """Take the new schedule over; with a pin that cannot be had, the old one stays and ConfigError is raised."""
        self._switch.close()
        try:
            self._switch = Switch(config.schedule, self._folder)
        except ConfigError:
            self._switch = Switch(self.config.schedule, self._folder)
            raise

    def _replace_capture(self, config: Config) -> None:
        """Take the new source over; where it does not open, the old switch and source stay and it raises why."""
        if self.capture is None:
            return
        self._close_capture()
        if not self._switch.state().measuring:
            return
        try:
            self.capture = self._open(config.source)
        except EdgeAgenderError:
            if config.schedule != self.config.schedule:
                self._replace_switch(self.config)
            self.capture = self._open(self.config.source)
            raise

    def _report(self, observation: Observation) -> None:
        self.observation = observation
        laps = self.times.laps()
        messages = list(self.reporter.observe(observation, self._throttled))
        laps.lap("encode")
        self._put(messages)
        laps.lap("publish")
        self.health.frame_done(max(time.monotonic() - observation.captured_s, 0.0))

    def _put(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._sink.put(message)

    def _follow_orders(self) -> None:
        for order in self._orders.drain():
            if isinstance(order, bool):
                self._switch.set_remote(order)
                self._switch_due_s = 0.0
            elif isinstance(order, Announce):
                self._announce()
            else:
                self.reporter.show(order)

    def _announce(self) -> None:
        """Tell Home Assistant which device this is, where that is wanted."""
        if self.config.home_assistant.enabled:
            gate = self.reporter.gate
            self._sink.put(discovery_message(self._sender, self.config.home_assistant.prefix, gate))

    def _obey_switch(self, now_s: float) -> None:
        """Open or close the camera as the switch says, and publish what it says whenever that changes."""
        if now_s < self._switch_due_s:
            return
        self._switch_due_s = now_s + SWITCH_EVERY_S
        state = self._switch.state()
        if state.measuring and self.capture is None:
            self.capture = self._open(self.config.source)
        elif not state.measuring and self.capture is not None:
            self._close_capture()
            self._put(self.reporter.end_visits())
            self.pipeline.forget()
        if state != self.switch_state:
            self.switch_state = state
            self._sink.put(enabled_message(self._sender, state))

    def _open(self, source: SourceConfig) -> Capture:
        # Pictures are looked at once: their folder started again would be a crowd that never leaves.
        until_end = self._until_end or source.kind == "images"
        after_s = self.observation.captured_s if self.observation else float("-inf")
        return Capture(source, until_end=until_end, times=self.times, after_s=after_s)

    def _close_capture(self) -> None:
        capture, self.capture = self.capture, None
        if capture is not None:
            capture.close()
            self._captured_before += capture.slot.captured
            self._dropped_before += capture.slot.dropped
            self._restarts_before += capture.restarts

    def _source_tries(self, capture: Capture) -> bool:
        """True where a source without frames just now has made another attempt: it is troubled, but not stuck."""
        tried = capture.problem is not None and capture.progress_s > self._source_progress_s
        self._source_progress_s = capture.progress_s
        return tried

    def _tend(self, now_s: float) -> None:
        """What is due by the clock: windows, health, and the state on disk."""
        told = list(self.reporter.windows_due(time.time()))
        self._put(told)
        if told:  # at once: a process killed before would tell them again
            self._saver.save(self.reporter.snapshot())
        if now_s >= self._health_due_s:
            self._health_due_s = now_s + self.config.publish.health_s
            self._tell_health(now_s)
        if now_s >= self._save_due_s:
            self._save_due_s = now_s + SAVE_EVERY_S
            self._throttled = board.slowed_down(board.throttling())
            self._saver.save(self.reporter.snapshot())

    def _tell_health(self, now_s: float) -> None:
        sample = self.health.sample(
            now_s,
            time.time(),
            work=self.pipeline.work,
            dropped_frames=self.dropped,
            camera_restarts=self.restarts,
            outbox=self._sink.outbox(),
            link=self._sink.link(),
            alarms=(*self._alarms, *([self.problem] if self.problem else ())),
        )
        self._sink.put(health_message(self._sender, sample, self._health_sequence))
        self._health_sequence += 1
