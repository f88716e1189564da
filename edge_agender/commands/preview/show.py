"""The preview at work: plays, draws, and hands on to the page or the film."""

from __future__ import annotations

import json
import os
import sys
import time
import webbrowser
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agender.audience.demography import AgeBands
from edge_agender.commands.preview.page import serve
from edge_agender.commands.preview.screen import Screen
from edge_agender.config.settings import Config
from edge_agender.daemon.reporter import Reporter
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Picture
from edge_agender.messages.message import Message
from edge_agender.messages.sender import sender_of
from edge_agender.recordings.draw import annotate, banner
from edge_agender.recordings.marks import Mark, scaled
from edge_agender.recordings.play import Player, Step
from edge_agender.recordings.stills import annotated, still_marks
from edge_agender.recordings.table import RunningTable
from edge_agender.recordings.verdicts import here_of, marks_of

# Larger pictures are shown, and filmed, at this width: a screen shows no more of them, and two cores must keep up.
MOST_WIDTH_PX = 1280
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 80)
STATE_EVERY_S = 0.25
EVENTS = 12
# How long each of several pictures is shown.
PICTURE_S = 2.0


class Show:
    """One recording as it is watched: its annotated picture and its figures, step by step."""

    def __init__(self, config: Config, name: str, player: Player, *, blur: bool) -> None:
        self._config, self._name, self._player, self._blur = config, name, player, blur
        self._table = RunningTable(AgeBands(config.audience.age_bands))
        self._reporter = Reporter(config, sender_of(config))
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS)
        self._frame_event: dict[str, Any] | None = None
        self._marks: list[Mark] = []
        self._last: Step | None = None

    def take(self, step: Step) -> None:
        """Count what this step brought."""
        self._last = step
        self._table.add(step.visits, here_of(step, self._config))
        self._marks = marks_of(step, self._config)
        self._note(self._reporter.observe(step.observation), step.t_s)
        self._note(self._reporter.windows_due(step.observation.utc_s), step.t_s)

    def picture(self, step: Step) -> Picture:
        """Return the step's picture with everything drawn on it; it may be the frame's own buffer."""
        full, factor = _fitted(step.frame.full)
        annotate(full, scaled(self._marks, factor), blur=self._blur)
        banner(full, self._table.sentence())
        return full

    def finish(self) -> None:
        """The recording is over: so are its visits, and its windows."""
        self._table.add(self._player.close_visits())
        if self._last is not None:
            self._note(self._reporter.end_visits(), self._last.t_s)
            whole_day_s = self._last.observation.utc_s + 86_400
            self._note(self._reporter.windows_due(whole_day_s), self._last.t_s)

    def summary(self) -> str:
        """Return what was counted, in one line."""
        return self._table.result()

    def state(self, *, ended: bool) -> dict[str, Any]:
        """Return what the page shows beside the picture."""
        t_s = self._last.t_s if self._last else 0.0
        return {
            "name": self._name,
            "t_s": round(t_s, 1),
            "ended": ended,
            "blurred": self._blur,
            "dropped": self._player.capture.slot.counts.dropped,
            "table": self._table.as_dict(),
            "faces": [{"lines": mark.lines, "standing": mark.standing} for mark in self._marks],
            "frame": self._frame_event,
            "events": list(self._events),
            "privacy_level": self._config.privacy.level,
        }

    def _note(self, messages: Iterable[Message], t_s: float) -> None:
        for message in messages:
            event = {"t_s": round(t_s, 1), "kind": message.kind, "payload": json.loads(message.payload)}
            if message.kind == "frame":
                self._frame_event = event
            else:
                self._events.appendleft(event)


def show_on_page(configs: Sequence[tuple[str, Config]], *, port: int, blur: bool, again: bool) -> None:
    """Play one recording after the other while a browser watches; then keep the page until Ctrl-C."""
    with _page(configs[0][0], port) as screen:
        for name, config in configs:
            with Player(config, until_end=not again) as player:
                show = Show(config, name, player, blur=blur)
                _play(show, player, screen)
                screen.tell(show.state(ended=True))
            print(f"{name} has ended: {show.summary()}", flush=True)


def show_pictures(
    pictures: Sequence[Path], predict: Callable[[Path], dict[str, Any]], *, port: int, blur: bool, again: bool
) -> None:
    """Show one picture after the other while a browser watches; then keep the page until Ctrl-C."""
    with _page(pictures[0].name, port) as screen:
        while True:
            for path in pictures:
                try:
                    faces = predict(path)["faces"]
                    picture = annotated(path, faces, blur=blur)
                except MediaError as error:
                    print(f"edge-agender: {error}", file=sys.stderr)
                    continue
                marks = still_marks(faces)
                lines = [{"lines": mark.lines, "standing": mark.standing} for mark in marks]
                screen.tell({"name": path.name, "still": True, "faces": lines})
                screen.show(_encoded(_fitted(picture)[0]))
                time.sleep(PICTURE_S)
            if not again:
                return


@contextmanager
def _page(name: str, port: int) -> Iterator[Screen]:
    """Serve the page; go on when a browser shows it, and after the block wait for Ctrl-C."""
    screen = Screen()
    with serve(port, screen) as server:
        screen.tell({"name": name, "waiting": True})
        print(f"pictures are shown at {server.address} on this machine alone; Ctrl-C ends", flush=True)
        _open_browser(server.address)
        while not screen.wait_for_watcher(0.25):
            pass
        yield screen
        while True:
            time.sleep(0.25)


def _play(show: Show, player: Player, screen: Screen) -> None:
    due_s = 0.0
    for step in player.steps():
        if step is None:
            continue
        show.take(step)
        if screen.watched:
            screen.show(_encoded(show.picture(step)))
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + STATE_EVERY_S
            screen.tell(show.state(ended=False))
    show.finish()


def film(config: Config, name: str, out: Path, *, blur: bool) -> None:
    """Play as fast as it goes and write what the page would show."""
    from edge_agender.recordings.film import Film

    began_s = time.monotonic()
    with Film(out, config.source.rate_hz) as written, Player(config) as player:
        show = Show(config, name, player, blur=blur)
        seconds = 0.0
        for step in player.steps():
            if step is not None:
                show.take(step)
                written.write(show.picture(step), step.t_s)
                seconds = step.t_s
        show.finish()
    took_s = max(time.monotonic() - began_s, 1e-3)
    print(f"{out}: {seconds:.1f} s of {name} in {took_s:.1f} s; {show.summary()}")


def _fitted(picture: Picture) -> tuple[Picture, float]:
    """Return the picture no wider than what is shown, and by what it was scaled."""
    factor = min(MOST_WIDTH_PX / picture.shape[1], 1.0)
    if factor == 1:
        return picture, factor
    size = (MOST_WIDTH_PX, round(picture.shape[0] * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8), factor


def _encoded(picture: Picture) -> bytes:
    return cv2.imencode(".jpg", picture, JPEG)[1].tobytes()


def _open_browser(address: str) -> None:
    """Open the page where there is a screen; elsewhere the address on the terminal must do."""
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(address)
