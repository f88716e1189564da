"""A source that starts again at its end, with a time that goes on rising."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edge_agender.capture.sources import Source
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame

log = logging.getLogger(__name__)


class Replay:
    """Reads what `open_` opens; a recording that ends is opened again, unless it is to be read `until_end` only.

    `captured_s` of a recording's frames rises, also over the seam where it starts again: one that is read faster than
    it plays has a clock that runs ahead. `after_s` is that of the frame before the first; the seam is 1 / rate_hz long.
    `what` it is stands in errors.
    """

    def __init__(
        self,
        open_: Callable[[], Source],
        stop: threading.Event,
        what: str,
        *,
        rate_hz: float,
        until_end: bool = False,
        after_s: float = float("-inf"),
    ) -> None:
        self._open, self._stop, self._what = open_, stop, what
        self._rate_hz, self._until_end = rate_hz, until_end
        self._last_s, self._ahead_s = after_s, 0.0
        self._read = self._restarts = 0
        self._source = open_()

    @property
    def live(self) -> bool:
        return self._source.live

    @property
    def progress_s(self) -> float:
        return self._source.progress_s

    @property
    def problem(self) -> str | None:
        return self._source.problem

    @property
    def restarts(self) -> int:
        """How often a source was reached again after frames had stopped, over all of its rounds."""
        return self._restarts + self._source.restarts

    def read(self) -> Frame | None:
        """Block for the next frame; None at the end, or once `stop` is set.

        Raises what the source raises, and MediaError where a round brings no picture: it would go on for ever.
        """
        while (frame := self._source.read()) is None:
            if self._stop.is_set():
                return None
            if not self._read:
                raise MediaError(f"{self._what}: it ended without a picture: give one that can be played")
            if self._until_end:
                return None
            self._start_again()
        first, self._read = self._read == 0, self._read + 1
        return frame if self._source.live else self._later(frame, first=first)

    def reopen(self) -> None:
        """Have the source opened again, where its kind can be."""
        self._source.reopen()

    def close(self) -> None:
        self._source.close()

    def _start_again(self) -> None:
        log.debug("the recording ended: starting again")
        self._source.close()
        source = self._open()
        self._restarts += self._source.restarts
        self._source, self._read = source, 0

    def _later(self, frame: Frame, *, first: bool) -> Frame:
        """Return the frame with its time moved behind that of the last one before the seam."""
        if first:
            self._ahead_s = max(self._last_s + 1 / self._rate_hz - frame.captured_s, 0.0)
        self._last_s = frame.captured_s + self._ahead_s
        return frame.altered(captured_s=self._last_s)
