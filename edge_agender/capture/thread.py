"""The capture thread: reads the source into the slot, and starts a recording again where that is wanted."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from edge_agender.capture.slot import Slot
from edge_agender.capture.sources import Source, open_source
from edge_agender.common.timing import StageTimes
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import EdgeAgenderError, MediaError, StalledError
from edge_agender.imaging.frame import Frame

log = logging.getLogger(__name__)

# How long close() waits for a read in progress. A source that hangs longer is left to the end of the process.
CLOSE_WAIT_S = 1.0


class Capture:
    """An open source and the thread that reads it. Opening raises what the source raises.

    `captured_s` of its frames rises, also over the seam of a recording that starts again: one that is read faster than
    it plays has a clock that runs ahead. `after_s` is that of the frame before the first.
    """

    def __init__(
        self,
        config: SourceConfig,
        *,
        until_end: bool,
        times: StageTimes | None = None,
        after_s: float = float("-inf"),
    ) -> None:
        self._config = config
        self._until_end = until_end
        self._times = times or StageTimes()
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._last_s, self._ahead_s = after_s, 0.0
        self.slot = Slot()
        self._source: Source = open_source(config, self._stop)
        self._restarts_before = 0
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """True after the last frame was taken. Raises what ended the thread, where that was a failure."""
        if not self.slot.ended:
            return False
        if isinstance(self._failure, EdgeAgenderError):
            raise self._failure
        if self._failure is not None:
            raise StalledError(f"the capture thread died: {self._failure!r}: please report this") from self._failure
        return True

    @property
    def progress_s(self) -> float:
        """time.monotonic() when the source last delivered a frame or finished an attempt to reconnect."""
        return self._source.progress_s

    @property
    def problem(self) -> str | None:
        """One line on why no frames come just now; None while they do."""
        return self._source.problem

    @property
    def restarts(self) -> int:
        """How often the source was started, or reached, again after frames had stopped."""
        return self._restarts_before + self._source.restarts

    def close(self) -> None:
        """Stop reading and give the device back."""
        self._stop.set()
        self.slot.close()
        self._thread.join(CLOSE_WAIT_S)
        while (frame := self.slot.take(0)) is not None:
            frame.release()
        if self._thread.is_alive():
            log.warning("the source hangs in a read: it is left to the end of the process")

    def _run(self) -> None:
        try:
            self._read_all()
            while not (self._stop.is_set() or self._until_end):
                log.debug("the recording ended: starting again")
                self._source.close()
                source = open_source(self._config, self._stop)
                self._restarts_before += self._source.restarts
                self._source = source
                self._read_all()
        except Exception as error:
            self._failure = error
        finally:
            self.slot.close()
            # Here, where nobody reads any more: buffers must not go while a read fills them.
            self._close_source()

    def _close_source(self) -> None:
        try:
            self._source.close()
        except Exception as error:
            log.warning("the source could not be closed: %r", error)

    def _read_all(self) -> None:
        """Read to the end. Raises MediaError where nothing comes before it: starting again would go on for ever."""
        count = 0
        while not self._stop.is_set():
            began_s = time.perf_counter()
            frame = self._source.read()
            if frame is None:
                break
            self._times.add("capture", time.perf_counter() - began_s)
            if not self._source.live:
                frame = self._later(frame, first=count == 0)
            if not self.slot.put(frame, wait=not self._source.live):
                return
            count += 1
        if count == 0 and not self._stop.is_set():
            raise MediaError(f"source {self._config.kind}: it ended without a picture: give one that can be played")

    def _later(self, frame: Frame, *, first: bool) -> Frame:
        """Return the frame with its time moved behind that of the last one before the seam."""
        if first:
            self._ahead_s = max(self._last_s + 1 / self._config.rate_hz - frame.captured_s, 0.0)
        self._last_s = frame.captured_s + self._ahead_s
        return replace(frame, captured_s=self._last_s)
