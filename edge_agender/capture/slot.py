"""The one place between capture and inference: the latest frame wins, and what it replaces is counted."""

from __future__ import annotations

import threading

from edge_agender.capture.counts import Counts
from edge_agender.imaging.frame import Frame


class Slot:
    """Holds one frame. A live source never waits for it; another waits until the frame before has been taken."""

    def __init__(self, counts: Counts | None = None) -> None:
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._closed = False
        self.counts = counts or Counts()

    def put(self, frame: Frame, *, wait: bool) -> bool:
        """Offer a frame; False (and the frame is released) once the slot is closed."""
        with self._condition:
            while wait and self._frame is not None and not self._closed:
                self._condition.wait()
            if self._closed:
                frame.release()
                return False
            replaced, self._frame = self._frame, frame
            self.counts.captured += 1
            if replaced is not None:
                self.counts.dropped += 1
            self._condition.notify_all()
        if replaced is not None:
            replaced.release()
        return True

    def take(self, timeout_s: float) -> Frame | None:
        """Return the frame that waits, or the next one; None after `timeout_s` or when closed and empty."""
        with self._condition:
            if self._frame is None and not self._closed:
                self._condition.wait(timeout_s)
            frame, self._frame = self._frame, None
            self._condition.notify_all()
            return frame

    def close(self) -> None:
        """Let nobody wait any longer. A frame that is still inside can be taken."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def ended(self) -> bool:
        """True when closed and empty: no frame will ever come out again."""
        with self._condition:
            return self._closed and self._frame is None
