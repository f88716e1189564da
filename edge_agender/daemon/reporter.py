"""Observations -> messages: counts the audience, decides what is due, and lets out what the privacy level releases."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_agender import __version__
from edge_agender.audience.counting import Audience, FrameCounter
from edge_agender.audience.demography import AgeBands
from edge_agender.audience.distance import counted_focal_px
from edge_agender.audience.measures import Content, Demographics, FrameView, Visit, Window
from edge_agender.audience.privacy import Gate
from edge_agender.config.secrets import masked
from edge_agender.config.settings import Config
from edge_agender.daemon.frame_policy import FramePolicy
from edge_agender.messages.build import demographics_message, frame_message, viewer_message, window_message
from edge_agender.messages.contract import VersionsPayload
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender
from edge_agender.vision.pipeline import Observation

# For the status page: an hour of minutes, a day of hours.
KEPT_WINDOWS, KEPT_PERIODS = 60, 24


@dataclass(slots=True)
class Totals:
    """What the published windows of this process add up to."""

    windows: int = 0
    opportunities_to_see: int = 0
    viewers: int = 0
    attention_s: float = 0.0
    peak_count: int = 0

    def add(self, window: Window) -> None:
        self.windows += 1
        self.opportunities_to_see += window.opportunities_to_see
        self.viewers += window.viewers
        self.attention_s += window.attention.total_s if window.attention else 0.0
        self.peak_count = max(self.peak_count, window.peak_count)

    def sentence(self) -> str:
        return (
            f"{self.windows} windows: {self.opportunities_to_see} passed by, {self.viewers} viewers, "
            f"{self.attention_s:.1f} s of attention, at most {self.peak_count} at once"
        )


class Reporter:
    """Turns what each frame showed into the messages that are due. One thread; time comes with the observation."""

    def __init__(self, config: Config, sender: Sender) -> None:
        self._sender, self._publish = sender, config.publish
        self._counter = FrameCounter(config.audience)
        self._policy = FramePolicy(config.publish)
        self.gate, self.bands = Gate(config.privacy), AgeBands(config.audience.age_bands).known
        self._distance = config.audience.distance
        self._audience = Audience(config)
        self.versions = versions(config)
        self._frames_durable = config.outbox.frames_durable
        self._sequences: Counter[str] = Counter()
        self.view: FrameView | None = None
        # Persons in view, whatever is released of them.
        self.people = 0
        self.windows: deque[Window] = deque(maxlen=KEPT_WINDOWS)
        self.periods: deque[Demographics] = deque(maxlen=KEPT_PERIODS)
        self.totals = Totals()
        self._people_published = 0

    def observe(self, observation: Observation, throttled: bool | None = None) -> Iterator[Message]:
        """Yield the messages that this frame gives rise to."""
        now_s, utc_s = observation.captured_s, observation.utc_s
        # Files, streams and USB cameras have sizes of their own, whatever was asked for.
        focal = counted_focal_px(self._distance, observation.picture_px[0], observation.focal_px)
        visits = self._audience.observe(
            observation.faces,
            now_s=now_s,
            utc_s=utc_s,
            focal_length_px=focal,
            luma=observation.mean_luma,
            throttled=throttled,
            pictures=[picture.track_id for picture in observation.pictures],
        )
        yield from self._viewers(visits)
        view = self._counter.view(observation.faces, sequence=self._sequences["frame"], now_s=now_s, utc_s=utc_s)
        self.people = view.count
        released = self.view = self.gate.frame(view)
        if released is not None and self._policy.due(audience_summary(released), released.count, now_s):
            yield self._frame(released)

    def windows_due(self, utc_s: float) -> Iterator[Message]:
        """Yield the windows and demographics that are complete. Call it also while no frames come."""
        for closed in self._audience.windows_due(utc_s):
            window = self.gate.window(closed)
            self.windows.append(window)
            self.totals.add(window)
            yield window_message(self._sender, window, self._next("window"), self.versions)
        for period in self._audience.demographics_due(utc_s):
            self.periods.append(period)
            yield demographics_message(self._sender, period, self._next("demographics"), self.versions)

    def end_visits(self) -> Iterator[Message]:
        """Yield the viewers who are still there when the camera closes."""
        self.view, self.people = None, 0
        yield from self._viewers(self._audience.close())

    def end_watching(self, utc_s: float) -> Iterator[Message]:
        """Yield what ends when nothing is seen any more: the viewers still there, and a last frame without anybody.

        Who shows the latest frame would else show its people for as long as the camera is closed or lost.
        """
        yield from self.end_visits()
        nobody = self.gate.frame(self._counter.view((), sequence=self._sequences["frame"], now_s=0.0, utc_s=utc_s))
        if nobody is not None and self._people_published:
            # Whoever comes next is a change, even were it the same people.
            self._policy = FramePolicy(self._publish)
            yield self._frame(nobody)

    def close_windows(self, utc_s: float) -> Iterator[Message]:
        """Yield the open windows as they are: nothing more will come into them."""
        self._audience.cut()
        yield from self.windows_due(utc_s)

    @property
    def content(self) -> Content:
        """What the sign shows, as it was last said."""
        return self._audience.content

    def show(self, content: Content) -> None:
        """From now on the sign shows this."""
        self._audience.show(content)

    def snapshot(self) -> dict[str, Any]:
        """Return what a restarted process needs to complete the open windows: sums only."""
        return self._audience.snapshot()

    def restore(self, snapshot: Any, utc_s: float) -> None:
        """Go on with the windows of the process before; raise ValueError, with nothing changed, for anything else."""
        self._audience.restore(snapshot, utc_s)

    def take_over(self, before: Reporter, utc_s: float) -> None:
        """Go on from the reporter of another configuration: visits, windows, content, and the numbers of messages.

        A gap in a sequence means a loss, and a visit that ended with a configuration would be two.
        """
        self._audience.take_over(before._audience, utc_s)
        self._sequences, self.totals = before._sequences, before.totals
        self._people_published = before._people_published
        self.view = before.view if self.gate.releases_frames else None
        if self.gate.is_as_open_as(before.gate):
            self.windows.extend(before.windows)
        self.periods.extend(before.periods)

    def _frame(self, view: FrameView) -> Message:
        self._sequences["frame"] += 1
        self._people_published = view.count
        message = frame_message(self._sender, view)
        return replace(message, durable=True, qos=max(message.qos, 1)) if self._frames_durable else message

    def _viewers(self, visits: Sequence[Visit]) -> Iterator[Message]:
        for visit in visits:
            viewer = self.gate.viewer(visit)
            if viewer is not None:
                yield viewer_message(self._sender, viewer, self._next("viewer"))

    def _next(self, kind: str) -> int:
        self._sequences[kind] += 1
        return self._sequences[kind] - 1


def audience_summary(view: FrameView) -> tuple[object, ...]:
    """What a subscriber would call the same audience: how many of which gender and band."""
    return tuple(view.cells.items())


def versions(config: Config) -> VersionsPayload:
    """Return what made the figures: software, models, and a fingerprint of the options that bear on them."""
    # Without what may be a password: the fingerprint is published, and guesses could be tried on it.
    shown = masked(config)
    relevant = shown.model_dump_json(include={"source", "detector", "estimator", "gating", "tracking", "audience"})
    return {
        "software": __version__,
        "detector": config.detector.model or config.detector.kind,
        "estimator": config.estimator.model,
        "configuration": hashlib.sha256(relevant.encode()).hexdigest()[:12],
    }
