"""The main loop's body: take a frame, process it, hand on what it gives rise to. Built and driven by service."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from edge_agender.common.timing import StageTimes
from edge_agender.config.settings import Config
from edge_agender.daemon.alarms import Alarms, picture_problems, problems
from edge_agender.daemon.camera import Camera
from edge_agender.daemon.engine_status import EngineStatus
from edge_agender.daemon.health import HealthReporter
from edge_agender.daemon.reload import NETWORKS, changed_sections
from edge_agender.daemon.reporter import Reporter
from edge_agender.daemon.saved import SavedState, identity
from edge_agender.delivery.inbox import Announce, Inbox
from edge_agender.delivery.sinks import Sink
from edge_agender.device import board
from edge_agender.device.health import SourceState
from edge_agender.device.state import StateFolder
from edge_agender.messages.build import enabled_message
from edge_agender.messages.discovery import discovery_message
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender
from edge_agender.vision.assembly import build_pipeline, configured_models
from edge_agender.vision.pipeline import Observation

log = logging.getLogger(__name__)

# The longest that a step waits for a frame: signals, commands and health are looked at this often.
TICK_S = 0.25
# How long the last messages of a recording may take to reach the broker.
DRAIN_S = 10.0
# A plug that is pulled costs at most this much of the open windows.
SAVE_EVERY_S = 15.0
# A player may say what it shows every few seconds: so long the card is spared.
SAVE_CONTENT_S = 2.0
# How long a stop waits for the card.
SAVE_WAIT_S = 1.0


class Engine:
    """Camera, pipeline and reporter at work on one sink. A context manager; opening raises what an edge raises.

    `patient`: a camera that is missing is waited for, instead of being raised as an error.
    """

    def __init__(
        self,
        config: Config,
        sink: Sink,
        sender: Sender,
        folder: StateFolder,
        inbox: Inbox,
        *,
        until_end: bool,
        patient: bool = False,
    ) -> None:
        self.config, self._sink, self._sender, self._inbox = config, sink, sender, inbox
        self._folder = folder
        self._saved = SavedState(folder, sender, config.source)
        self._source: SourceState = "starting"
        self.alarms = Alarms()
        self.times = StageTimes()
        self.observation: Observation | None = None
        with ExitStack() as undo:
            self.camera = Camera(config, folder, self.times, until_end=until_end, patient=patient)
            undo.callback(self.camera.close)
            changed = self.camera.follow_switch(time.monotonic())
            if changed is not None:
                sink.put(enabled_message(sender, changed))
            self._models = configured_models(config)
            self.pipeline = build_pipeline(config, self.times)
            self.reporter = Reporter(config, sender)
            self._restore()
            undo.pop_all()
        now_s = time.monotonic()
        self.health = HealthReporter(config, sender, now_s)
        self._save_due_s = now_s + SAVE_EVERY_S
        self._throttled = board.slowed_down(board.throttling())
        self._announce()
        self.fresh = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.camera.close_capture()
        self._put(self.reporter.end_visits())
        self._hand_over()
        self._save(time.monotonic())
        self._saved.wait(SAVE_WAIT_S)
        self.camera.close()

    def step(self) -> bool:
        """Work on the next frame, or wait a moment for one; False when none will ever come.

        `fresh` then tells whether there was progress that a supervisor may count on.
        """
        now_s = time.monotonic()
        self._read_inbox()
        self._follow_switch(now_s)
        if self.camera.capture is None:
            time.sleep(TICK_S)
            self.fresh = True  # closed, or looked for by this thread: there is nothing that could be stuck
        else:
            frame = self.camera.take(TICK_S)
            self.fresh = frame is not None
            if frame is not None:
                # Given back last: overwriting a picture empties the processor's caches.
                with frame:
                    self._report(self.pipeline.process(frame))
            elif self.camera.ended():
                return False
            else:
                self.fresh = self.camera.tries()
        now_s = time.monotonic()
        self._note_source(now_s)
        self._tend(now_s)
        return True

    def finish(self) -> None:
        """Close the last window of a recording, and wait for its messages to be sent."""
        self.camera.close_capture()
        self._put(self.reporter.end_visits())
        self._publish_windows(self.reporter.close_windows(time.time()), time.monotonic())
        self._hand_over()
        if not self._sink.drain(DRAIN_S):
            log.warning("the broker did not take the last messages within %.0f s", DRAIN_S)

    def summary(self) -> str:
        """Return in one line what was seen since the start."""
        return f"{self.pipeline.work.frames} frames, {self.reporter.totals.sentence()}"

    def status(self, *, aiming: bool) -> EngineStatus:
        """Return what is known just now. While somebody aims the camera, each face's sharpness and light are judged."""
        self.pipeline.aiming = aiming
        return EngineStatus(
            config=self.config,
            observation=self.observation,
            view=self.reporter.view,
            windows=tuple(self.reporter.windows),
            periods=tuple(self.reporter.periods),
            versions=self.reporter.versions,
            switch=self.camera.switch_state,
            capturing=self.camera.capture is not None,
            source=self._source,
            problem=self.camera.problem,
            alarms=self.alarms.listed(time.monotonic(), time.time()),
            counts=self.camera.counts,
            frames=self.pipeline.work.frames,
            latency_s=self.health.latest_latency_s,
            conditions=self.pipeline.conditions,
        )

    def reconfigure(self, config: Config) -> bool:
        """Let a new configuration take over without losing a count; return whether anything had changed.

        Raises, with the old one at work, what cannot be. Whoever is in view stays the same visitor, save before another
        source.
        """
        changed = changed_sections(self.config, config)
        models = configured_models(config)
        if not changed and models == self._models:
            return False
        # Whatever may raise does so before anything is given up.
        networks = build_pipeline(config, self.times) if changed & NETWORKS or models != self._models else None
        reporter = Reporter(config, self._sender)
        reporter.restore(self.reporter.snapshot(), time.time())
        self.camera.reconfigure(config)
        if "source" in changed:
            self._leave_source(config)
        reporter.take_over(self.reporter, time.time())
        if networks is not None:
            networks.take_over(self.pipeline)
            self.pipeline = networks
        self.reporter, self.config, self._models = reporter, config, models
        self.health.configure(config)
        self._announce()
        logging.getLogger().setLevel(config.log.level.upper())
        return True

    def _leave_source(self, config: Config) -> None:
        """End the visits before the old source; its figures are published as its own."""
        self._put(self.reporter.end_visits())
        self.pipeline.reset()
        if identity(config.source) != identity(self.config.source):
            self._publish_windows(self.reporter.close_windows(time.time()), time.monotonic())
        self._saved.source = config.source

    def _restore(self) -> None:
        """Go on where the process before stopped, as far as what it left can be right."""
        found = self._saved.load()
        if found is None:
            return
        try:
            self.alarms.quiet.restore(found.quiet)
            self.reporter.restore(found.audience, self._saved.utc_s())
        except ValueError as error:
            self._saved.refuse(str(error))
            return
        self.reporter.show(found.content)
        self._saved.resume(found.unsent)

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

    def _read_inbox(self) -> None:
        for order in self._inbox.drain():
            if isinstance(order, bool):
                self.camera.set_remote(order)
            elif isinstance(order, Announce):
                self._announce()
            else:
                self.reporter.show(order)
                self._save_due_s = min(self._save_due_s, time.monotonic() + SAVE_CONTENT_S)

    def _announce(self) -> None:
        """Tell Home Assistant which device this is, where that is wanted."""
        if self.config.home_assistant.enabled:
            prefix, reporter = self.config.home_assistant.prefix, self.reporter
            self._sink.put(discovery_message(self._sender, prefix, reporter.gate, reporter.bands))

    def _follow_switch(self, now_s: float) -> None:
        """Open or close the camera as the switch says, and publish what it says whenever that changes."""
        changed = self.camera.follow_switch(now_s)
        self._note_source(now_s)
        if changed is not None:
            self._sink.put(enabled_message(self._sender, changed))

    def _note_source(self, now_s: float) -> None:
        """Say what becomes of the source, where that changes. Before one that is closed or lost stands nobody."""
        state = self.camera.source_state(now_s)
        if state == self._source:
            return
        if state in ("off", "missing", "frozen"):
            self._put(self.reporter.end_watching(time.time()))
            self.pipeline.reset()
        self._source = state
        self._sink.source(state)

    def _tend(self, now_s: float) -> None:
        """What is due by the clock: windows, health, and the state on disk."""
        self._publish_windows(self.reporter.windows_due(time.time()), now_s)
        self._put(self._saved.ready(now_s))
        watching, people = self._source == "ok", self.reporter.people > 0
        self.alarms.note(now_s, time.time(), self._problems(), people=people, watching=watching)
        self._put(
            self.health.due(
                now_s,
                time.time(),
                source=self._source,
                work=self.pipeline.work,
                counts=self.camera.counts,
                sink=self._sink,
                alarms=self.alarms.listed(now_s, time.time()),
            )
        )
        if now_s >= min(self._save_due_s, self._saved.clears_at_s):
            self._throttled = board.slowed_down(board.throttling())
            self._save(now_s)

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong just now, a line each."""
        yield from problems(self.camera, self._sink, self._folder, self.config.schedule)
        if self.observation is not None and self.camera.capture is not None:
            yield from picture_problems(self.observation)

    def _save(self, now_s: float) -> None:
        self._save_due_s = now_s + SAVE_EVERY_S
        self._saved.quiet = self.alarms.quiet.snapshot()
        self._saved.save(self.reporter.snapshot(), self.reporter.content, now_s)

    def _publish_windows(self, messages: Iterable[Message], now_s: float) -> None:
        """Have complete windows on disk, from where they go on: a process killed meanwhile publishes the same bytes."""
        closed = list(messages)
        if closed:
            self._saved.save_ahead(closed, self.reporter.snapshot(), self.reporter.content, now_s)

    def _hand_over(self) -> None:
        """Give the outbox what waits for the card, which has had its time."""
        self._saved.wait(SAVE_WAIT_S)
        self._put(self._saved.ready(time.monotonic(), wait=False))
