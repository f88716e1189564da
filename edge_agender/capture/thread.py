"""The capture thread: reads the source into the slot."""

from __future__ import annotations

import logging
import threading
import time

from edge_agender.capture.counts import Counts
from edge_agender.capture.freshness import FreshWatch
from edge_agender.capture.replay import Replay
from edge_agender.capture.slot import Slot
from edge_agender.capture.sources import open_source
from edge_agender.common.timing import StageTimes
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import EdgeAgenderError, StalledError

log = logging.getLogger(__name__)

# How long close() waits for a read in progress. A source that hangs longer is left to the end of the process.
CLOSE_WAIT_S = 1.0


class Capture:
    """An open source and the thread that reads it. Opening raises what the source raises.

    `captured_s` of its frames rises, also where a recording starts again (Replay); `after_s` is that of the frame
    before the first. `counts` goes on from what it holds.
    """

    def __init__(
        self,
        config: SourceConfig,
        *,
        until_end: bool,
        times: StageTimes | None = None,
        after_s: float = float("-inf"),
        counts: Counts | None = None,
    ) -> None:
        self._times = times or StageTimes()
        self._stop = stop = threading.Event()
        self._failure: Exception | None = None
        self.counts = counts or Counts()
        self._restarts_before = self.counts.restarts
        self.slot = Slot(self.counts)
        self._source = Replay(
            lambda: open_source(config, stop),  # without self: a circle would outlive the capture
            stop,
            f"source {config.kind}",
            rate_hz=config.rate_hz,
            until_end=until_end,
            after_s=after_s,
        )
        # Pictures and the demo are what they are.
        watched = config.kind in ("picamera2", "opencv")
        self._watch = FreshWatch(self._source.reopen, config.frozen_after_s) if watched else None
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
        return self._source.problem or (self._watch.problem if self._watch is not None else None)

    @property
    def frozen(self) -> bool:
        """True where frames come and repeat one picture."""
        return self._source.problem is None and self._watch is not None and self._watch.problem is not None

    @property
    def dark(self) -> bool:
        """True where the picture has been of one colour for a minute: the lens is covered, or it is dark."""
        return self._watch is not None and self._watch.dark

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
        while not self._stop.is_set():
            began_s = time.perf_counter()
            frame = self._source.read()
            if frame is None:
                return
            if not self._stop.is_set():  # another capture may count on by now
                self.counts.restarts = self._restarts_before + self._source.restarts
            self._times.add("capture", time.perf_counter() - began_s)
            if self._watch is not None and not self._watch.is_fresh(frame):
                frame.release()
                continue
            if not self.slot.put(frame, wait=not self._source.live):
                return
