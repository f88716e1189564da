"""The two kinds of feeds: videos through FFmpeg, and JPEGs that a camera sends one after another or when asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from edge_agender.capture.sources.connection import Facts, Feed
from edge_agender.capture.sources.decoded import StillPicture
from edge_agender.capture.sources.jpegs import SOI, jpeg_size
from edge_agender.capture.sources.media import MAX_PIXELS, MediaReader, Shot, VideoDecoder
from edge_agender.capture.sources.web import WebAnswer, WebCamera
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.pictures import decode_picture

# How long a stream is looked at before it is played: a camera's video may come after its sound.
_OPTIONS = {"analyzeduration": "5000000"}


def feed_of(address: str, config: SourceConfig, transport: str) -> Feed:
    """Return the feed of a stream's address, not connected yet; `transport` is RTSP's: tcp or udp."""
    timeout_s = config.opencv.timeout_s
    scheme = address.partition("://")[0].lower()
    if scheme in ("http", "https"):
        return WebFeed(address, timeout_s, config.rate_hz)
    options = {"rtsp_transport": transport} if scheme == "rtsp" else {}
    return MediaFeed(address, timeout_s, options)


class MediaFeed:
    """A stream or a recording through FFmpeg."""

    def __init__(self, address: str, timeout_s: float, options: dict[str, str], *, may_end: bool = False) -> None:
        """`may_end`: it is a recording where it says how long it lasts; a camera may say so of its clock."""
        self._address, self._timeout_s, self._options, self._may_end = address, timeout_s, options, may_end
        self._reader: MediaReader | None = None
        self.facts = Facts()

    def items(self) -> Iterator[tuple[Any, int, bool]]:
        self._reader = reader = MediaReader(self._address, self._timeout_s, _OPTIONS | self._options)
        duration_s = reader.duration_s if self._may_end or reader.in_segments else None
        self.facts = Facts(reader.period_s, duration_s, reader.has_stamps)
        for packet in reader.packets():
            yield packet, packet.size, packet.is_keyframe

    def decode(self, data: Any) -> list[Shot]:
        return self._reader.decoder.decode(data) if self._reader else []

    def flush(self) -> None:
        if self._reader:
            self._reader.decoder.flush()

    def stop(self) -> None:
        """Its reads end by themselves."""

    def close(self) -> None:
        if self._reader:
            self._reader.close()


class WebFeed:
    """What is behind http or https: JPEGs as they come, a snapshot asked for at `rate_hz`, or a video."""

    def __init__(self, address: str, timeout_s: float, rate_hz: float) -> None:
        self._address, self._timeout_s, self._period_s = address, timeout_s, 1 / rate_hz
        self._stopped = threading.Event()
        self._media: MediaFeed | None = None
        self._jpegs: VideoDecoder | None = None
        self._pictures = Facts(independent=True)

    @property
    def facts(self) -> Facts:
        return self._media.facts if self._media else self._pictures

    def items(self) -> Iterator[tuple[Any, int, bool]]:
        camera = WebCamera(self._address, self._timeout_s)
        with closing(camera.open()) as answer:
            if answer.is_page:
                raise MediaError("it sends a web page, no picture: its path is another")
            if answer.is_pictures:
                alone = yield from self._as_they_come(answer)
        if not answer.is_pictures:
            self._media = MediaFeed(self._address, self._timeout_s, {}, may_end=answer.length is not None)
            yield from self._media.items()
        elif alone:
            yield from self._asked_for(camera)

    def decode(self, data: Any) -> list[Shot]:
        if self._media:
            return self._media.decode(data)
        if not data.startswith(SOI):
            return [Shot(StillPicture(decode_picture(data, "its picture", MAX_PIXELS)), None)]
        return self._decode_jpeg(data)

    def flush(self) -> None:
        if self._media:
            self._media.flush()

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        if self._media:
            self._media.close()

    def _as_they_come(self, answer: WebAnswer) -> Generator[tuple[Any, int, bool], None, bool]:
        """Yield the pictures of one answer; return whether it held one alone."""
        if not answer.is_jpeg:
            data = answer.body()
            yield data, len(data), True
            return True
        count = 0
        for data in answer.jpegs():
            yield data, len(data), True
            count += 1
        if not count:
            raise MediaError("it sends no picture that can be read")
        return count == 1

    def _asked_for(self, camera: WebCamera) -> Iterator[tuple[Any, int, bool]]:
        """Ask for the picture again and again, as often as pictures are wanted."""
        next_s = time.monotonic() + self._period_s
        while not self._stopped.wait(max(next_s - time.monotonic(), 0.0)):
            next_s = max(next_s, time.monotonic() - self._period_s) + self._period_s
            with closing(camera.open()) as answer:
                if answer.is_page or not answer.is_pictures:
                    raise MediaError("it sends no picture any more")
                data = next(answer.jpegs(), b"") if answer.is_jpeg else answer.body()
            if not data:
                raise MediaError("it sends no picture that can be read")
            yield data, len(data), True

    def _decode_jpeg(self, data: bytes) -> list[Shot]:
        from av import CodecContext, Packet

        VideoDecoder.check_size(*(jpeg_size(data) or (0, 0)))
        if self._jpegs is None:
            self._jpegs = VideoDecoder(CodecContext.create("mjpeg", "r"))
        return [Shot(shot.picture, None) for shot in self._jpegs.decode(Packet(data))]
