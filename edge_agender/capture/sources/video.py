"""Video files, and which source reads an address: a file, a stream or a USB camera."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from edge_agender.capture.sources.base import BaseSource, Framer, Source
from edge_agender.capture.sources.clock import Pace, RecordingClock
from edge_agender.capture.sources.media import MediaReader, Shot
from edge_agender.common.masking import shown
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame


def open_video(config: SourceConfig, stop: threading.Event) -> Source:
    """Return the source for `config.opencv.uri`. Raises MediaError or CameraError where it can't be read at all."""
    uri = config.opencv.uri or ""
    if uri.isdigit() or uri.startswith("/dev/"):
        from edge_agender.capture.sources.usb import UsbSource

        return UsbSource(config, stop, f"/dev/video{uri}" if uri.isdigit() else uri)
    if "://" in uri and not uri.startswith("file://"):
        from edge_agender.capture.sources.live import StreamSource

        return StreamSource(config, stop)
    return FileSource(config, stop)


class FileSource(BaseSource):
    """A video file, at its own speed as if it were live, or as fast as frames are asked for.

    Unpaced, `captured_s` follows the file's clock, so that times within it (dwell, gaps) keep their length.
    """

    def __init__(self, config: SourceConfig, stop: threading.Event) -> None:
        super().__init__()
        self.live = config.opencv.pace
        self._stop = stop
        self._lock = threading.Lock()
        self._framer = Framer(config)
        path = _existing(config.opencv.uri or "")
        try:
            # Absolute: FFmpeg takes a name such as 12:30.mp4 for a URL.
            self._reader = MediaReader(f"file:{path.absolute()}", None)
            self._left = self._shots()
            self._first: deque[Shot] = deque([next(self._left)])
        except (MediaError, StopIteration) as error:
            reason = str(error) or "holds no video that can be read"
            raise MediaError(f"{path}: {reason}: give an mp4, mkv, avi or gif file") from None
        period_s = self._reader.period_s or 1 / config.rate_hz
        self._clock = RecordingClock(period_s, self._reader.duration_s)
        self._pace = Pace(period_s)
        self._started_s: float | None = None

    def __enter__(self) -> FileSource:
        return self

    def read(self) -> Frame | None:
        shot = None if self._stop.is_set() else self._next()
        if shot is None:
            return None
        position_s, now_s = self._clock.position_s(shot.stamp_s), time.monotonic()
        if self._started_s is None:
            self._started_s = now_s
        due_s = self._pace.due_s(position_s, now_s) if self.live else self._started_s + position_s
        if self.live and self._stop.wait(max(due_s - now_s, 0.0)):
            return None
        self.made_progress()
        return self._framer.frame_of(shot.picture, due_s)

    def close(self) -> None:
        with self._lock:
            self._left = iter(())
            self._first.clear()
            self._reader.close()

    def _next(self) -> Shot | None:
        with self._lock:
            return self._first.popleft() if self._first else next(self._left, None)

    def _shots(self) -> Iterator[Shot]:
        """Yield the pictures to the end, or to where the file is cut off."""
        packets = self._reader.packets()
        while True:
            try:
                packet = next(packets)
            except (StopIteration, MediaError):
                return
            yield from self._reader.decoder.decode(packet)


def _existing(uri: str) -> Path:
    path = Path(unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri)
    # What was meant for an address, and lacks its scheme, may hold a password.
    name = shown(str(path))
    try:
        found = path.is_file()
    except OSError as error:
        raise MediaError(f"{name}: {error.strerror}: give a video that can be read") from None
    if not found:
        raise MediaError(f"{name}: no such file: give an existing video, a URL (rtsp://...) or a camera (/dev/video0)")
    if not os.access(path, os.R_OK):
        raise MediaError(f"{path}: this user may not read it: change its owner or its mode")
    return path
