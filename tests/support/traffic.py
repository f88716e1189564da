"""Everything that leaves a device while people come and go: messages, page, metrics, and what Home Assistant shows."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pytest
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge_agender.audience.measures import Content
from edge_agender.capture.counts import Counts
from edge_agender.config.load import load
from edge_agender.config.settings import Config
from edge_agender.daemon import status
from edge_agender.daemon.engine import Engine
from edge_agender.daemon.engine_status import EngineStatus
from edge_agender.daemon.health import HealthReporter
from edge_agender.daemon.reporter import Reporter
from edge_agender.delivery.sinks import Sink
from edge_agender.device.switch import SwitchState
from edge_agender.imaging.geometry import Box
from edge_agender.messages import discovery
from edge_agender.messages.build import enabled_message, status_message
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender
from edge_agender.vision.faces import Estimate, Face
from edge_agender.vision.head_pose import HeadPose
from edge_agender.vision.pipeline import Observation, Work
from edge_agender.web import metrics, view
from edge_agender.web.snapshot import LiveState
from tests.support.visits import NOON_S

RATE_HZ = 2.0
# How often the outsider looks at the page and the metrics.
LOOKS_EVERY_S = 5.0
# As the pipeline saves estimates once they would add nothing.
CROPS = 6


@dataclass(frozen=True)
class Guest:
    """Somebody who comes alone or with others. `looks_s`: turned to the sign for that long, then away."""

    came_s: float
    stay_s: float
    years: float = 30.0
    p_female: float = 0.95
    looks_s: float = 1e9

    def face(self, track: int, now_s: float) -> Face | None:
        since_s = now_s - self.came_s
        if not 0 <= since_s <= self.stay_s:
            return None
        pose = HeadPose(0.0 if since_s <= self.looks_s else 60.0, 0.0, 0.0)
        estimate = Estimate(self.years, 5.0, self.p_female)
        box = Box(10 + 30 * track, 0, 110 + 30 * track, 120)
        return Face(track, box, 0.9, estimate, self.came_s, int(since_s * RATE_HZ) + 1, now_s, None, pose)


@dataclass
class Device:
    """A daemon's figures, run by a clock that is given, with every way out of it in `said`, by kind."""

    options: Sequence[str]
    patch: pytest.MonkeyPatch
    seed: int = 1
    said: dict[str, list[str]] = field(default_factory=dict)
    work: Work = field(default_factory=Work)

    reporter: Reporter = field(init=False)

    def __post_init__(self) -> None:
        self.now_s, self._chance, self._boots = 0.0, random.Random(self.seed), 0
        self.config: Config = load(None, ["source.kind=demo", "home_assistant.enabled=true", *self.options])
        clock = SimpleNamespace(time=lambda: NOON_S + self.now_s, monotonic=lambda: self.now_s)
        self.patch.setattr(status, "time", clock)
        reading = SimpleNamespace(temperature_c=50.0, throttling=None, resident_bytes=80e6)
        self.patch.setattr("edge_agender.device.board.read", lambda: reading)
        self.patch.setattr("edge_agender.device.board.CpuMeter.share", lambda self, now_s: 0.1)
        self.start()

    def start(self) -> None:
        """Start a process; it goes on where the one before stopped."""
        saved = json.dumps(self.reporter.snapshot()) if self._boots else None
        self._boots += 1
        self.sender = Sender("p", "lobby", f"{self._boots:016x}", "0.1.0", {})
        self.reporter = Reporter(self.config, self.sender)
        # The same draws whoever is there, so that only what is said of them can differ.
        self.reporter._audience._periods._chance = self._chance.random
        if saved is not None:
            self.reporter.restore(json.loads(saved), NOON_S + self.now_s)
        self.health = HealthReporter(self.config, self.sender, self.now_s)
        self.observation: Observation | None = None
        self.live = LiveState()
        self._feed = status.StatusFeed(self.live, cast(Engine, self), cast(Sink, self), self.sender)
        gate, bands = self.reporter.gate, self.reporter.bands
        self._announced = discovery.discovery_message(self.sender, "homeassistant", gate, bands)
        self._note([self._announced, status_message(self.sender, "online", "ok")])
        self._note([enabled_message(self.sender, SwitchState(enabled=True, measuring=True, reason="on"))])

    def frame(self, guests: Sequence[Guest], content: str | None) -> None:
        """Work on the frame of this moment, and let out what is due."""
        faces = tuple(face for track, guest in enumerate(guests) if (face := guest.face(track, self.now_s)))
        self.work.frames += 1
        self.work.searches += bool(faces) or self.work.frames % 3 == 0
        self.work.faces += len(faces)
        self.work.estimates += sum(face.hits <= CROPS for face in faces)
        self.reporter.show(Content(content))
        utc_s = NOON_S + self.now_s
        self.observation = Observation(self.work.frames, self.now_s, utc_s, faces, True, 100.0, (640, 480), 600.0)
        self._note(self.reporter.observe(self.observation))
        self.health.frame_done(0.02)
        self.tend()

    def tend(self) -> None:
        """Let out what is due by the clock."""
        utc_s = NOON_S + self.now_s
        self._note(self.reporter.windows_due(utc_s))
        due = self.health.due(
            self.now_s,
            utc_s,
            source="ok",
            work=self.work,
            counts=Counts(),
            sink=cast(Sink, self),
            alarms=(),
        )
        self._note(due)
        self._feed.update(self.now_s)
        if self.now_s % LOOKS_EVERY_S:
            return
        snapshot = self.live.read()
        self._say("page", json.dumps(view.page(snapshot, self.config.web, self.now_s), sort_keys=True))
        text = metrics.render(snapshot, self.now_s)
        self._say("metrics", text[1].decode() if text else "")

    def _note(self, messages: Iterator[Message] | Sequence[Message]) -> None:
        for message in messages:
            self._say(message.kind, message.payload.decode())
            if message is not self._announced:
                self._show_in_home_assistant(message)

    def _show_in_home_assistant(self, message: Message) -> None:
        for key, entry in json.loads(self._announced.payload)["components"].items():
            if entry.get("state_topic") == message.topic:
                shown = _template(entry["value_template"]).render(value_json=json.loads(message.payload))
                self._say("home_assistant", f"{key}: {shown}")

    def _say(self, kind: str, text: str) -> None:
        self.said.setdefault(kind, []).append(text)

    # What the status feed asks an engine and a sink for.

    def status(self, *, aiming: bool) -> EngineStatus:
        return EngineStatus(
            config=self.config,
            observation=self.observation,
            view=self.reporter.view,
            windows=tuple(self.reporter.windows),
            periods=tuple(self.reporter.periods),
            versions=self.reporter.versions,
            switch=None,
            capturing=True,
            source="ok",
            problem=None,
            alarms=(),
            counts=Counts(),
            frames=self.work.frames,
            latency_s=0.02,
            conditions={},
        )

    def outbox(self) -> None:
        return None

    def link(self) -> None:
        return None


@cache
def _template(text: str) -> Template:
    return ImmutableSandboxedEnvironment().from_string(text)


def day(
    guests: Sequence[Guest],
    patch: pytest.MonkeyPatch,
    *options: str,
    restarts: Sequence[float] = (),
    until_s: float = 280.0,
) -> dict[str, list[Any]]:
    """Return all that left the device, by kind. Two contents take turns, half a minute each."""
    device, restarts = Device(options, patch), list(restarts)
    for number in range(int(until_s * RATE_HZ)):
        device.now_s = number / RATE_HZ
        if restarts and device.now_s >= restarts[0]:
            restarts.pop(0)
            device.start()
        device.frame(guests, "a" if device.now_s % 60 < 30 else "b")
    device.now_s = until_s + 3600
    device.tend()
    return device.said
