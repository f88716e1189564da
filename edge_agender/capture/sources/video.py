"""What files, streams and USB cameras share: OpenCV's reader, made fit for threads, and a recording's own clock."""

from __future__ import annotations

import math
import threading
import time

import cv2
import numpy as np

from edge_agender.config.settings import SourceConfig
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.quiet import silence_opencv

# A paced file that falls further behind than this (the machine slept) goes on from where it is instead of racing.
_MAX_LATE_S = 1.0
# A longer step between two frames is a damaged time stamp: it would hold a paced file up, for hours perhaps.
_MAX_STEP_S = 10.0
# How long close() waits for a read in progress. A dead stream may block it for timeout_s: then the reader cleans up.
_CLOSE_WAIT_S = 0.5


class VideoReader:
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
        with self._lock:
            return not self._closing and bool(self._capture.isOpened())

    @property
    def is_recording(self) -> bool:
        return self._get(cv2.CAP_PROP_FRAME_COUNT) > 0

    @property
    def rate_hz(self) -> float | None:
        rate_hz = self._get(cv2.CAP_PROP_FPS)
        return rate_hz if math.isfinite(rate_hz) and 0.1 <= rate_hz <= 240 else None

    @property
    def position_s(self) -> float:
        return self._get(cv2.CAP_PROP_POS_MSEC) / 1000

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

    def _get(self, what: int) -> float:
        with self._lock:
            return 0.0 if self._closing else float(self._capture.get(what))

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


class MediaClock:
    """When the frames of a recording are due, from its own time stamps, or its frame rate where it has none."""

    def __init__(self, reader: VideoReader, fallback_hz: float) -> None:
        self._reader = reader
        self._period_s = 1 / (reader.rate_hz or fallback_hz)
        self._position_s = self._stamp_s = 0.0
        self._started_s: float | None = None

    def due_s(self, paced: bool) -> float:
        """Return time.monotonic() at which the frame just grabbed is due."""
        stamp_s, before_s = self._reader.position_s, self._stamp_s
        self._stamp_s = stamp_s
        now_s = time.monotonic()
        if self._started_s is None:
            self._started_s = now_s
            return now_s
        step_s = stamp_s - before_s
        self._position_s += step_s if 0 < step_s <= _MAX_STEP_S else self._period_s
        if paced and now_s - self._started_s - self._position_s > _MAX_LATE_S:
            self._started_s = now_s - self._position_s
        return self._started_s + self._position_s
