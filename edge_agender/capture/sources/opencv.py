"""Videos through OpenCV: files, http and rtsp streams, USB cameras (/dev/video*)."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from pathlib import Path
from urllib.parse import unquote

from edge_agender.capture.sources import nodes
from edge_agender.capture.sources.base import BaseSource, Framer, Source
from edge_agender.capture.sources.video import MediaClock, VideoReader
from edge_agender.config.masking import without_secrets
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import CameraError, MediaError
from edge_agender.imaging.frame import Frame, Picture

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 1.0
# While it waits to try again, it shows this often that it is not stuck: well within the watchdog's 30 s.
_STILL_WAITING_S = 5.0
# Frames of a camera come with jitter: one that is early by less than this part of the period is not skipped.
_EARLY_PART = 0.25


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
        path = _existing(config.opencv.uri or "")
        # Absolute: FFmpeg takes a name such as 12:30.mp4 for a URL.
        self._reader = VideoReader(str(path.absolute()), config)
        if not self._reader.opened or not self._reader.grab():
            self._reader.close()
            raise MediaError(f"{path}: holds no video that can be read: give an mp4, mkv, avi or gif file")
        self._clock = MediaClock(self._reader, config.rate_hz)
        self._grabbed = True

    def __enter__(self) -> FileSource:
        return self

    def read(self) -> Frame | None:
        while not self._stop.is_set() and (self._grabbed or self._reader.grab()):
            self._grabbed = False
            due_s = self._clock.due_s(paced=self.live)
            if self.live and self._stop.wait(max(due_s - time.monotonic(), 0.0)):
                return None
            picture = self._reader.retrieve()
            if picture is not None:
                self.made_progress()
                return self._framer.frame(picture, time.monotonic() if self.live else due_s)
        return None

    def close(self) -> None:
        self._reader.close()


def _existing(uri: str) -> Path:
    path = Path(unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri)
    try:
        found = path.is_file()
    except OSError as error:
        raise MediaError(f"{without_secrets(str(path))}: {error.strerror}: give a video that can be read") from None
    if not found:
        name = without_secrets(str(path))
        raise MediaError(f"{name}: no such file: give an existing video, a URL or a camera such as /dev/video0")
    if not os.access(path, os.R_OK):
        raise MediaError(f"{path}: this user may not read it: change its owner or its mode")
    return path


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
        self._recording: MediaClock | None = None
        self._asked = self._shown = self._came = False
        self._reader: VideoReader | None = None
        if device is not None:
            self._open_device(Path(device))

    def __enter__(self) -> StreamSource:
        return self

    def read(self) -> Frame | None:
        while not self._stop.is_set():
            if self._reader is None and not self._connect():
                self._wait_to_retry("cannot be opened")
                continue
            picture = self._next_picture()
            if picture is not None:
                self.restarts += self._came and self.problem is not None
                self._came = True
                self.healed(log, f"{self._name}: frames arrive again")
                self._retry_s = _FIRST_RETRY_S
                self._shown = True
                return self._framer.frame(picture, time.monotonic())
            if self._stop.is_set() or (self._recording is not None and self._shown):
                return None
            self._disconnect()
            self._wait_to_retry("no more frames")
        return None

    def close(self) -> None:
        self._disconnect()

    def _open_device(self, device: Path) -> None:
        """Raise CameraError where it is not there, no camera, or somebody else's."""
        if not device.exists():
            raise CameraError(f"{device}: no such camera: plug it in, or {nodes.choice()}")
        if objection := nodes.objection(device):
            raise CameraError(f"{device}: {objection}")
        if not self._connect():
            raise CameraError(
                f"{device}: cannot be opened: another program may hold it, "
                "or this user is not in the group video (sudo usermod -aG video USER)"
            )

    def _connect(self) -> bool:
        if not self._asked and not self._device:
            log.info("%s: connecting, for up to %g s", self._name, self._config.opencv.timeout_s)
        self._asked = True
        reader = VideoReader(self._uri, self._config, device=self._device)
        self.made_progress()
        if not reader.opened:
            reader.close()
            return False
        self._reader, self._shown = reader, False
        self._recording = MediaClock(reader, self._config.rate_hz) if reader.is_recording else None
        return True

    def _disconnect(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _next_picture(self) -> Picture | None:
        """The next picture wanted at rate_hz, decoded; those between are read too, so that none waits in a buffer.

        A picture that came damaged is passed over, as USB cameras send one now and then. None: no more will come.
        """
        reader = self._reader
        while reader is not None and not self._stop.is_set() and reader.grab():
            now_s = time.monotonic()
            if self._recording is not None:
                if self._stop.wait(max(self._recording.due_s(paced=True) - now_s, 0.0)):
                    return None
            elif not self._is_due(now_s):
                continue
            picture = reader.retrieve()
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
        until_s = time.monotonic() + self._retry_s * random.uniform(0.5, 1.0)
        self.failed(log, f"{self._name}: {reason}: {self._remedy()}; trying again for as long as it takes")
        self._retry_s = min(self._retry_s * 2, self._config.opencv.reconnect_max_s)
        while (left_s := until_s - time.monotonic()) > 0 and not self._stop.wait(min(left_s, _STILL_WAITING_S)):
            self.made_progress()

    def _remedy(self) -> str:
        if not self._device:
            return "see that it is on, and that source.opencv.uri is its address"
        if nodes.belongs_to_the_pi(Path(self._uri)):
            return "a part of the Pi's own camera: choose picamera2 as source.kind"
        return "plug it in"
