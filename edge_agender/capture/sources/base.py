"""What every source is, and what they share: building a Frame and wiping it afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np

from edge_agender.capture.sources.view import View
from edge_agender.config.settings import SourceConfig
from edge_agender.imaging.frame import Deferred, Frame, Picture
from edge_agender.imaging.geometry import TYPICAL_HFOV_DEG, focal_px
from edge_agender.imaging.preprocess import FULL_RANGE, luma_of, resize, size_within, small_picture, to_bgr


class Source(Protocol):
    """Where frames come from. One thread reads; any thread may close.

    `live`: frames come whether or not anybody takes them, so the late ones are dropped; False means that `read`
    may be called as late as one likes and nothing is missed.
    `progress_s`: time.monotonic() when the source last delivered a frame, finished an attempt to reconnect, or, between
    two of these, was seen to wait for the next.
    `problem`: one line on why no frames come just now; None while they do.
    `restarts`: how often it was started again, or reached again, after frames had stopped.
    """

    live: bool
    restarts: int

    @property
    def progress_s(self) -> float: ...

    @property
    def problem(self) -> str | None: ...

    def read(self) -> Frame | None:
        """Block for the next frame; None at the end or once `stop` is set.

        Raises CameraError, MediaError or StalledError.
        """

    def reopen(self) -> None:
        """Open the camera again, as what it sends does not change, where its kind can be. By the thread that reads."""

    def close(self) -> None:
        """Give everything back; may be called again."""

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BaseSource:
    """The parts of a Source that do not depend on where its frames come from."""

    def __init__(self) -> None:
        self.restarts = 0
        self._progress_s = time.monotonic()
        self._problem: str | None = None

    @property
    def progress_s(self) -> float:
        return self._progress_s

    @property
    def problem(self) -> str | None:
        return self._problem

    def made_progress(self) -> None:
        self._progress_s = time.monotonic()

    def failed(self, log: logging.Logger, text: str) -> None:
        """Report trouble that may heal: a warning once, then quietly."""
        log.log(logging.DEBUG if self._problem else logging.WARNING, "%s", text)
        self._problem = text

    def healed(self, log: logging.Logger, text: str) -> None:
        """Report, where there was trouble, that it is over."""
        if self._problem:
            log.info(text)
        self._problem = None

    def reopen(self) -> None:
        """Nothing can be opened again that was not closed."""

    def close(self) -> None:
        """Nothing is held."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wipe(*made: Picture) -> Callable[[], None]:
    """Return what overwrites the pictures with zeros: what a frame showed does not linger in free memory."""
    pictures: list[Picture] = []
    for picture in made:  # the largest comes first: what is a part of it goes with it
        if not any(np.may_share_memory(picture, other) for other in pictures):
            pictures.append(picture)

    def wipe() -> None:
        while pictures:
            pictures.pop().fill(0)

    return wipe


class Decoded(Protocol):
    """A picture of which no more is converted than is asked for."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of what `bgr` returns."""

    def luma(self) -> tuple[Picture, bool] | None:
        """Return the luma (h, w), perhaps the decoder's own and with pixels not square, and whether black is 16."""

    def bgr(self) -> Picture:
        """Return a new picture (H, W, 3), B, G, R."""


class Framer:
    """Builds the frames of one source, numbered from 0."""

    def __init__(self, config: SourceConfig, view: View | None = None) -> None:
        self._view = view or View.of(config)
        self._small_size = (config.small_width_px, config.small_height_px)
        self._sequence = 0

    def frame(self, raw: Picture, captured_s: float) -> Frame:
        """Return the Frame of a grey, B, G, R or B, G, R, A picture that nobody else uses; releasing it wipes `raw`."""
        turned = self._view.apply(raw)
        full = to_bgr(turned)
        small_bgr = small_picture(full, self._small_size)
        small = luma_of(small_bgr)
        wipe = _wipe(raw, turned, full, small_bgr, small)
        return self._framed(captured_s, small, full, wipe, raw.shape[1], small_bgr)

    def frame_of(self, decoded: Decoded, captured_s: float) -> Frame:
        """Return the Frame of a picture that is still as it was decoded; releasing it wipes what was made of it."""
        made: list[Picture] = []

        def make() -> Picture:
            raw = decoded.bgr()
            full = self._view.apply(raw)
            made.extend((raw, full))
            return full

        def wipe() -> None:
            _wipe(*made, small)()
            made.clear()

        luma, size_px = decoded.luma(), self._view.size_px(decoded.size_px)
        full: Picture | Deferred = Deferred(size_px, make)
        small_bgr = None
        if luma is None:
            full = make()
            small_bgr = small_picture(full, self._small_size)
            small = luma_of(small_bgr)
            made.append(small_bgr)
        else:
            small = self._small(*luma, size_px)
        return self._framed(captured_s, small, full, wipe, decoded.size_px[0], small_bgr)

    def _framed(
        self,
        captured_s: float,
        small: Picture,
        full: Picture | Deferred,
        wipe: Callable[[], None],
        raw_width_px: int,
        small_bgr: Picture | None = None,
    ) -> Frame:
        # Neither a cut nor a turn changes it: the raw picture is as wide as the lens shows.
        focal = focal_px(raw_width_px, TYPICAL_HFOV_DEG)
        frame = Frame(self._sequence, captured_s, time.time(), small, full, wipe, focal, small_bgr)
        self._sequence += 1
        return frame

    def _small(self, luma: Picture, limited: bool, full_px: tuple[int, ...]) -> Picture:
        """The small picture of a decoder's luma plane, which is not written to. `limited`: black in it is 16."""
        part = self._view.apply(luma)
        scaled = resize(part, size_within(full_px, self._small_size))
        small = cv2.LUT(scaled, FULL_RANGE) if limited else scaled.copy()
        for between in (scaled, part):
            if not np.may_share_memory(between, luma):
                between.fill(0)
        return np.asarray(small, np.uint8)
