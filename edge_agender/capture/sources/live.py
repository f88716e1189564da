"""Network cameras: connected for ever, played by the stream's own clock, late pictures and whole minutes skipped."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from edge_agender.capture.sources.base import Framer
from edge_agender.capture.sources.clock import LiveClock, Pace, RecordingClock
from edge_agender.capture.sources.connection import Connection, Facts, Item
from edge_agender.capture.sources.feeds import feed_of
from edge_agender.capture.sources.media import Shot
from edge_agender.capture.sources.reconnect import ReconnectingSource, WantedRate
from edge_agender.common.masking import shown
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame

log = logging.getLogger(__name__)

# How often a wait looks at `stop`.
_SLICE_S = 0.1
# A decoder further behind than this skips to the next key frame.
_MAX_BEHIND_S = 1.5
# A connection's own thread gives up first.
_SLACK_S = 2.0
_OTHER_TRANSPORT = {"tcp": "udp", "udp": "tcp"}


class StreamSource(ReconnectingSource):
    """A network camera, connected again for ever. A URL that is a recording is played at its own speed and ends."""

    def __init__(self, config: SourceConfig, stop: threading.Event) -> None:
        self._address = config.opencv.uri or ""
        super().__init__(config, stop, shown(self._address))
        self._transport: str = config.opencv.rtsp_transport
        self._framer = Framer(config)
        self._asked = False
        self._connection: Connection | None = None
        self._player: Player | None = None

    def __enter__(self) -> StreamSource:
        return self

    def read(self) -> Frame | None:
        while not self._stop.is_set():
            if self._connection is None:
                self._connect()
            try:
                frame = self._next_frame()
            except MediaError as error:
                self._fail(str(error))
                continue
            if frame is not None:
                return frame
            if self._stop.is_set() or (self._player is not None and self._player.finished):
                return None
            self._fail("it stopped sending")
        return None

    def _connect(self) -> None:
        if not self._asked:
            log.info("%s: connecting, for up to %g s", self._name, self._config.opencv.timeout_s)
        self._asked = True
        self._connection = Connection(feed_of(self._address, self._config, self._transport))
        self._player = Player(self._connection, self._config, self._stop)
        self.made_progress()

    def disconnect(self) -> None:
        connection, self._connection, self._player = self._connection, None, None
        if connection is not None:
            connection.leave()

    def _next_frame(self) -> Frame | None:
        """The next frame at its time; None at the end and once `stop` is set. Raises MediaError."""
        player = self._player
        shot = player.next_shot() if player is not None else None
        if shot is None or player is None:
            return None
        frame = self._framer.frame_of(shot.picture, player.due_s)
        self.arrived()
        return frame

    def _fail(self, reason: str) -> None:
        """Give the connection up and wait before the next."""
        if self._player is not None and not self._player.played:
            # Nothing came this way: a firewall may let the other one through.
            self._transport = _OTHER_TRANSPORT[self._transport]
        self.disconnect()
        remedy = "" if ": " in reason else ": see that it is on, and that source.opencv.uri is its address"
        self.wait_to_retry(f"{reason}{remedy}")


class Player:
    """Takes what a connection brings, decodes it and gives out the pictures that are wanted when they are due."""

    def __init__(self, connection: Connection, config: SourceConfig, stop: threading.Event) -> None:
        self._connection, self._stop = connection, stop
        self._timeout_s = config.opencv.timeout_s
        self._wanted_s = 1 / config.rate_hz
        self._timing: _LiveTiming | _RecordingTiming | None = None
        self._shots: deque[tuple[Shot, float]] = deque()
        self._came_s = time.monotonic()
        self.due_s = 0.0
        self.played = False
        self.finished = False

    def next_shot(self) -> Shot | None:
        """The next picture, at its time, which `due_s` is then; None at the end or once `stop` is set.

        Raises MediaError where the camera fails, or sends nothing that becomes a picture.
        """
        while not self._stop.is_set():
            while self._shots and self._timing is not None:
                shot, arrival_s = self._shots.popleft()
                due_s = self._timing.due_s(shot.stamp_s, arrival_s, time.monotonic())
                if due_s is None:
                    continue
                if self._stop.wait(max(due_s - time.monotonic(), 0.0)):
                    return None
                self.due_s, self.played, self._came_s = due_s, True, time.monotonic()
                return shot
            if not self._fill():
                return None
        return None

    def _fill(self) -> bool:
        """Take an item and decode it; False at the end."""
        item = self._connection.take(_SLICE_S)
        if item is not None:
            self._decode(item)
        elif self._connection.ended:
            self.finished = self.played and isinstance(self._timing, _RecordingTiming)
            return False
        # Its own thread gives up in time: this is for one that sends without end what is no picture.
        if time.monotonic() - self._came_s > self._timeout_s + _SLACK_S:
            raise MediaError(f"no picture within {self._timeout_s:g} s")
        return True

    def _decode(self, item: Item) -> None:
        feed = self._connection.feed
        if self._timing is None:
            self._timing = _timing_of(feed.facts, self._wanted_s)
        if self._timing.is_late(item, time.monotonic()) and self._connection.start_waits():
            feed.flush()
            return
        if feed.facts.independent and not self._timing.wants(item.arrival_s):
            return
        for shot in feed.decode(item.data):
            self._came_s = time.monotonic()
            self._shots.append((shot, item.arrival_s))
        self._timing.adapts = not self._connection.was_full


def _timing_of(facts: Facts, wanted_s: float) -> _LiveTiming | _RecordingTiming:
    period_s = facts.period_s or wanted_s
    if facts.duration_s is not None:
        return _RecordingTiming(period_s, facts.duration_s)
    return _LiveTiming(period_s, wanted_s, facts.has_stamps)


class _LiveTiming:
    """When the pictures of a live stream are due, and which of them are wanted."""

    def __init__(self, period_s: float, wanted_s: float, has_stamps: bool) -> None:
        self._clock = LiveClock(period_s)
        self._rate = WantedRate(wanted_s)
        self._has_stamps = has_stamps
        self._delay_s = 0.0
        self.adapts = True

    def due_s(self, stamp_s: float | None, arrival_s: float, now_s: float) -> float | None:
        """Return when the picture is due; None where it comes too soon after the one before."""
        self._clock.adaptive = self.adapts
        due_s = self._clock.due_s(stamp_s if self._has_stamps else None, arrival_s)
        self._delay_s = due_s - arrival_s
        return due_s if self._rate.take(due_s) else None

    def wants(self, due_s: float) -> bool:
        return self._rate.wants(due_s)

    def is_late(self, item: Item, now_s: float) -> bool:
        """True where decoding has fallen behind what arrives."""
        return now_s - item.arrival_s - self._delay_s > _MAX_BEHIND_S


class _RecordingTiming:
    """When the pictures of a recording are due that is played at its own speed. All of them are wanted."""

    def __init__(self, period_s: float, duration_s: float) -> None:
        self._clock = RecordingClock(period_s, duration_s)
        self._pace = Pace(period_s)
        self.adapts = False

    def due_s(self, stamp_s: float | None, arrival_s: float, now_s: float) -> float | None:
        return self._pace.due_s(self._clock.position_s(stamp_s), now_s)

    def wants(self, due_s: float) -> bool:
        return True

    def is_late(self, item: Item, now_s: float) -> bool:
        return False
