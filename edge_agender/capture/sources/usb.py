"""USB cameras (/dev/video*) through OpenCV's V4L2."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np

from edge_agender.capture.sources import nodes
from edge_agender.capture.sources.base import Framer
from edge_agender.capture.sources.reconnect import ReconnectingSource, WantedRate
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import CameraError
from edge_agender.imaging.frame import Frame, Picture
from edge_agender.imaging.quiet import silence_opencv

# How long close() waits for a read in progress. A dead camera may block it: then the reader cleans up.
_CLOSE_WAIT_S = 0.5


class UsbSource(ReconnectingSource):
    """A camera that must be there when it is opened, and may go and come back from then on."""

    def __init__(self, config: SourceConfig, stop: threading.Event, device: str) -> None:
        super().__init__(config, stop, device)
        self._device = Path(device)
        self._framer = Framer(config)
        self._rate = WantedRate(1 / config.rate_hz)
        self._reader: V4l2Reader | None = None
        self._open()

    def __enter__(self) -> UsbSource:
        return self

    def read(self) -> Frame | None:
        while not self._stop.is_set():
            if self._reader is None and not self._connect():
                self.wait_to_retry(f"cannot be opened: {self._remedy()}")
                continue
            picture = self._next_picture()
            if picture is not None:
                self.arrived()
                return self._framer.frame(picture, time.monotonic())
            if not self._stop.is_set():
                self.disconnect()
                self.wait_to_retry(f"no more frames: {self._remedy()}")
        return None

    def _open(self) -> None:
        """Raise CameraError where it is not there, no camera, or somebody else's."""
        if not self._device.exists():
            raise CameraError(f"{self._device}: no such camera: plug it in, or {nodes.choice()}")
        if objection := nodes.objection(self._device):
            raise CameraError(f"{self._device}: {objection}")
        if not self._connect():
            raise CameraError(
                f"{self._device}: cannot be opened: another program may hold it, "
                "or this user is not in the group video (sudo usermod -aG video USER)"
            )

    def _connect(self) -> bool:
        reader = V4l2Reader(str(self._device), self._config)
        self.made_progress()
        if not reader.opened:
            reader.close()
            return False
        self._reader = reader
        return True

    def disconnect(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _next_picture(self) -> Picture | None:
        """The next picture wanted at rate_hz, decoded; those between are read too, so that none waits in a buffer.

        A picture that came damaged is skipped, as USB cameras send one now and then. None: no more will come.
        """
        reader = self._reader
        while reader is not None and not self._stop.is_set() and reader.grab():
            picture = reader.retrieve() if self._rate.take(time.monotonic()) else None
            if picture is not None:
                return picture
        return None

    def _remedy(self) -> str:
        if nodes.belongs_to_the_pi(self._device):
            return "a part of the Pi's own camera: choose picamera2 as source.kind"
        return "plug it in"


class V4l2Reader:
    """cv2.VideoCapture that any thread may close while another reads, and that keeps quiet on stderr."""

    def __init__(self, device: str, config: SourceConfig) -> None:
        silence_opencv()
        self._lock = threading.Lock()
        self._closing = False
        self._capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        # USB cameras send large pictures at full rate only as MJPEG; a camera that can't ignores the wish.
        wishes = {
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"MJPG")),
            cv2.CAP_PROP_FRAME_WIDTH: float(config.width_px),
            cv2.CAP_PROP_FRAME_HEIGHT: float(config.height_px),
            cv2.CAP_PROP_FPS: config.rate_hz,
        }
        for wish, value in wishes.items():
            self._capture.set(wish, value)

    @property
    def opened(self) -> bool:
        with self._lock:
            return not self._closing and bool(self._capture.isOpened())

    def grab(self) -> bool:
        with self._lock:
            got = not self._closing and bool(self._capture.grab())
        return got and not self._finish_closing()

    def retrieve(self) -> Picture | None:
        """Return the picture grabbed last; None where it is damaged or the reader closed."""
        with self._lock:
            try:
                got, picture = (False, None) if self._closing else self._capture.retrieve()
            except cv2.error:
                got, picture = False, None
        self._finish_closing()
        return np.asarray(picture, np.uint8) if got and picture is not None and picture.size else None

    def close(self) -> None:
        self._closing = True
        if self._lock.acquire(timeout=_CLOSE_WAIT_S):
            self._capture.release()
            self._lock.release()

    def _finish_closing(self) -> bool:
        """Release where close() gave up waiting for this thread; return whether it is closed."""
        if self._closing:
            with self._lock:
                self._capture.release()
        return self._closing
