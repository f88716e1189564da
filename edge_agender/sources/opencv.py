"""Videos through OpenCV: files, http and rtsp streams, USB cameras (/dev/video*)."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from edge_agender.errors import CameraError, MediaError
from edge_agender.masking import without_secrets
from edge_agender.records import Frame, Picture
from edge_agender.settings import SourceConfig
from edge_agender.sources.base import BaseSource, Framer, Source, silence_opencv

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 1.0
# A paced file that falls further behind than this (the machine slept) goes on from where it is instead of racing.
_MAX_LATE_S = 1.0
# Frames of a camera come with jitter: one that is early by less than this part of the period is not skipped.
_EARLY_PART = 0.25
# How long close() waits for a read in progress. A dead stream may block it for timeout_s: then the reader cleans up.
_CLOSE_WAIT_S = 0.5


def open_video(config: SourceConfig, stop: threading.Event) -> Source:
    """Return the source for `config.opencv.uri`. Raises MediaError or CameraError where it can't be read at all."""
    uri = config.opencv.uri or ""
    if uri.startswith("file://"):
        return FileSource(config, stop)
    if "://" in uri:
        return StreamSource(config, stop)
    if uri.isdigit() or uri.startswith("/dev/"):
        return StreamSource(config, stop, device=f"/dev/video{uri}" if uri.isdigit() else uri)
    return FileSource(config, stop)


class FileSource(BaseSource):
    """A video file, at its own speed as if it were live, or as fast as frames are asked for.

    Unpaced, `captured_s` follows the file's clock, so that times within it (dwell, gaps) keep their length.
    """

    def __init__(self, config: SourceConfig, stop: threading.Event) -> None:
        super().__init__()
        self.live = config.opencv.pace
        self._stop = stop
        self._framer = Framer(config)
        path = Path((config.opencv.uri or "").removeprefix("file://"))
        if not path.is_file():
            raise MediaError(f"{path}: no such file: give an existing video, a URL or a camera such as /dev/video0")
        self._capture = _Capture(str(path), config)
        if not self._capture.opened or not self._capture.grab():
            self._capture.close()
            raise MediaError(f"{path}: holds no video that can be read: give an mp4, mkv, avi or gif file")
        self._clock = _MediaClock(self._capture, config.rate_hz)
        self._grabbed = True

    def __enter__(self) -> FileSource:
        return self

    def read(self) -> Frame | None:
        if self._stop.is_set() or not (self._grabbed or self._capture.grab()):
            return None
        self._grabbed = False
        due_s = self._clock.due_s(paced=self.live)
        if self.live and self._stop.wait(max(due_s - time.monotonic(), 0.0)):
            return None
        picture = self._capture.retrieve()
        if picture is None:
            return None
        self.made_progress()
        return self._framer.frame(picture, time.monotonic() if self.live else due_s)

    def close(self) -> None:
        self._capture.close()


class StreamSource(BaseSource):
    """A stream or a USB camera: reconnects for ever, save that a camera must be there when it is opened.

    A URL that turns out to be a recording is paced by its own clock and ends.
    """

    live = True

    def __init__(self, config: SourceConfig, stop: threading.Event, device: str | None = None) -> None:
        super().__init__()
        self._config = config
        self._stop = stop
        self._uri = device or config.opencv.uri or ""
        self._device = device is not None
        self._name = without_secrets(self._uri)
        self._framer = Framer(config)
        self._retry_s = _FIRST_RETRY_S
        self._next_s = 0.0
        self._recording: _MediaClock | None = None
        self._capture: _Capture | None = None
        if device is not None:
            if not Path(device).exists():
                raise CameraError(f"{device}: no such camera: plug it in, or choose one that `ls /dev/video*` shows")
            if not self._connect():
                raise CameraError(
                    f"{device}: cannot be opened: another program may hold it, "
                    "or this user is not in the group video (sudo usermod -aG video USER)"
                )

    def __enter__(self) -> StreamSource:
        return self

    def read(self) -> Frame | None:
        while not self._stop.is_set():
            if self._capture is None and not self._connect():
                self._wait_to_retry("cannot be opened")
                continue
            picture = self._next_picture()
            if picture is not None:
                self.healed(log, f"{self._name}: frames arrive again")
                self._retry_s = _FIRST_RETRY_S
                return self._framer.frame(picture, time.monotonic())
            if self._recording is not None or self._stop.is_set():
                return None
            self._disconnect()
            self._wait_to_retry("no more frames")
        return None

    def close(self) -> None:
        self._disconnect()

    def _connect(self) -> bool:
        capture = _Capture(self._uri, self._config, device=self._device)
        self.made_progress()
        if not capture.opened:
            capture.close()
            return False
        self._capture = capture
        self._recording = _MediaClock(capture, self._config.rate_hz) if capture.is_recording else None
        return True

    def _disconnect(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.close()

    def _next_picture(self) -> Picture | None:
        """The next picture wanted at rate_hz, decoded; those between are read too, so that none waits in a buffer."""
        capture = self._capture
        while capture is not None and not self._stop.is_set() and capture.grab():
            now_s = time.monotonic()
            if self._recording is not None:
                if self._stop.wait(max(self._recording.due_s(paced=True) - now_s, 0.0)):
                    return None
            elif not self._is_due(now_s):
                continue
            picture = capture.retrieve()
            if picture is not None:
                self.made_progress()
            return picture
        return None

    def _is_due(self, now_s: float) -> bool:
        period_s = 1 / self._config.rate_hz
        if now_s < self._next_s - period_s * _EARLY_PART:
            return False
        self._next_s = max(self._next_s, now_s - period_s) + period_s
        return True

    def _wait_to_retry(self, reason: str) -> None:
        wait_s = self._retry_s * random.uniform(0.5, 1.0)
        self.failed(log, f"{self._name}: {reason}: trying again for as long as it takes")
        self._retry_s = min(self._retry_s * 2, self._config.opencv.reconnect_max_s)
        self._stop.wait(wait_s)


class _MediaClock:
    """When the frames of a recording are due, from its own time stamps, or its frame rate where it has none."""

    def __init__(self, capture: _Capture, fallback_hz: float) -> None:
        self._capture = capture
        self._period_s = 1 / (capture.rate_hz or fallback_hz)
        self._position_s = -self._period_s
        self._started_s: float | None = None

    def due_s(self, paced: bool) -> float:
        """Return time.monotonic() at which the frame just grabbed is due."""
        position_s = self._capture.position_s
        went_on = position_s > self._position_s or self._started_s is None
        self._position_s = position_s if went_on else self._position_s + self._period_s
        now_s = time.monotonic()
        if self._started_s is None or (paced and now_s - self._started_s - self._position_s > _MAX_LATE_S):
            self._started_s = now_s - self._position_s
        return self._started_s + self._position_s


class _Capture:
    """cv2.VideoCapture that any thread may close while another reads, and that keeps quiet on stderr."""

    def __init__(self, uri: str, config: SourceConfig, device: bool = False) -> None:
        silence_opencv()
        self._lock = threading.Lock()
        self._closing = False
        timeout_ms = int(config.opencv.timeout_s * 1000)
        if device:
            self._capture = cv2.VideoCapture(uri, cv2.CAP_V4L2)
            self._configure_camera(config)
        else:
            # One decoding thread: more would each hold frames back, and the board has other work.
            options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
            self._capture = cv2.VideoCapture(uri, cv2.CAP_FFMPEG, [*options, cv2.CAP_PROP_N_THREADS, 1])

    @property
    def opened(self) -> bool:
        return bool(self._capture.isOpened())

    @property
    def is_recording(self) -> bool:
        return bool(self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)

    @property
    def rate_hz(self) -> float | None:
        rate_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        return rate_hz if math.isfinite(rate_hz) and 0.1 <= rate_hz <= 240 else None

    @property
    def position_s(self) -> float:
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def grab(self) -> bool:
        with self._lock:
            got = not self._closing and bool(self._capture.grab())
        return got and not self._finish_closing()

    def retrieve(self) -> Picture | None:
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

    def _configure_camera(self, config: SourceConfig) -> None:
        # USB cameras send large pictures at full rate only as MJPEG; a camera that can't ignores the wish.
        wishes = {
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"MJPG")),
            cv2.CAP_PROP_FRAME_WIDTH: float(config.width_px),
            cv2.CAP_PROP_FRAME_HEIGHT: float(config.height_px),
            cv2.CAP_PROP_FPS: config.rate_hz,
        }
        for wish, value in wishes.items():
            self._capture.set(wish, value)
