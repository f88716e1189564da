"""Videos through PyAV (FFmpeg), made fit for cameras: bounded, quiet, one thread a decoder, no address in any error.

PyAV is imported when the first video is opened, never before: it takes some 18 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge_agender.capture.sources.decoded import DecodedPicture, StillPicture, orientation_of
from edge_agender.errors import MediaError
from edge_agender.imaging.orientation import UPRIGHT

# The largest picture of which a stream is decoded: decoders hold up to 16 of them.
MAX_PIXELS = 4608 * 3456
_MICROSECONDS = 1e6
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS
# What each kind of address may lead to: a play list must not make the daemon read files, nor a file call addresses.
_STREAM_PROTOCOLS = "http,https,tls,tcp,udp,rtp,rtsp,rtsps,rtmp,rtmps,srt,crypto,data"
_FILE_PROTOCOLS = "file,crypto,data"
_LIVE_RATE_HZ = (0.1, 240.0)


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture and its time stamp in the stream, seconds; None where it has none."""

    picture: DecodedPicture | StillPicture
    stamp_s: float | None


class VideoDecoder:
    """A decoder and what belongs to its pictures.

    `aspect_of_container` wins over the one in the coded pictures, until theirs changes.
    """

    def __init__(self, context: Any, aspect_of_container: float | None = None) -> None:
        from av.video.reformatter import VideoReformatter

        context.thread_count = 1  # more would each hold pictures back, and the board has other work
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self._context = context
        self._first_aspect = context.sample_aspect_ratio
        self._aspect_of_container = aspect_of_container
        self._rotation: int | None = None
        self._orientation = UPRIGHT
        self._converter = VideoReformatter()

    def decode(self, packet: Any) -> list[Shot]:
        """Return the pictures that are complete with this packet, damaged ones left out.

        Raises MediaError where they are larger than what is decoded.
        """
        import av

        try:
            frames = self._context.decode(packet)
        except (av.error.FFmpegError, ValueError):
            self.check_size(self._context.width, self._context.height)
            return []
        return [self._shot(frame) for frame in frames if not frame.is_corrupt]

    def flush(self) -> None:
        """Begin anew at the next key frame."""
        self._context.flush_buffers()

    @staticmethod
    def check_size(width: int, height: int) -> None:
        """Raise MediaError for pictures larger than what is decoded."""
        if width * height > MAX_PIXELS:
            raise MediaError(
                f"pictures of {width} x {height} pixels, more than the {MAX_PIXELS // 10**6} million that are decoded: "
                "choose the camera's smaller stream"
            )

    def _shot(self, frame: Any) -> Shot:
        coded = self._context.sample_aspect_ratio
        of_container = self._aspect_of_container if coded == self._first_aspect else None
        aspect = of_container or _ratio(coded) or 1.0
        if frame.rotation != self._rotation:
            self._rotation, self._orientation = frame.rotation, orientation_of(frame)
        return Shot(DecodedPicture(frame, aspect, self._orientation, self._converter), frame.time)


class MediaReader:
    """An open file or stream. One thread reads packets; one, perhaps another, decodes them; closing is the reader's."""

    def __init__(self, address: str, timeout_s: float | None, options: dict[str, str] | None = None) -> None:
        """Open it, waiting up to `timeout_s` for each answer; None: it is a file. Raises MediaError without address."""
        import av

        protocols = _FILE_PROTOCOLS if timeout_s is None else _STREAM_PROTOCOLS
        # The sizes that decoders are asked for while the stream is looked at are bounded too.
        common = {"protocol_whitelist": protocols, "max_pixels": str(MAX_PIXELS), "threads": "1"}
        # Before 19, PyAV refused files with metadata that is not UTF-8 unless told otherwise; since then it takes all.
        lenient: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
        try:
            self._container = av.open(address, options=common | (options or {}), timeout=timeout_s, **lenient)
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
            raise MediaError(_reason(error, timeout_s)) from None
        try:
            self._stream = self._choose()
            self.decoder = VideoDecoder(self._stream.codec_context, _ratio(self._stream.sample_aspect_ratio))
        except BaseException:
            self._container.close()
            raise
        self._timeout_s = timeout_s

    @property
    def period_s(self) -> float | None:
        """The distance of two pictures, on average or as promised; None where nobody says."""
        for rate in (self._stream.average_rate, self._stream.guessed_rate):
            if rate and _LIVE_RATE_HZ[0] / 1000 <= rate <= _LIVE_RATE_HZ[1]:
                return float(1 / rate)
        return None

    @property
    def duration_s(self) -> float | None:
        """How long a recording lasts; None for a live stream, and where nobody says."""
        duration = self._container.duration
        return duration / _MICROSECONDS if duration is not None and duration > 0 else None

    @property
    def has_stamps(self) -> bool:
        """False for formats that are nothing but pictures: their time stamps are made up."""
        return not self._container.format.flags & _NO_TIMESTAMPS

    @property
    def in_segments(self) -> bool:
        """True for HLS and DASH, which say themselves whether they end."""
        return any(name in self._container.format.name for name in ("hls", "dash"))

    def packets(self) -> Iterator[Any]:
        """Yield packets to the end; the last, which is empty, draws the last pictures from the decoder.

        Raises MediaError where the other side fails.
        """
        import av

        try:
            yield from self._container.demux(self._stream)
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
            raise MediaError(_reason(error, self._timeout_s)) from None

    def close(self) -> None:
        self._container.close()

    def _choose(self) -> Any:
        """The video that is watched; all else of it is not even read."""
        from av.stream import Discard, Disposition

        videos = [each for each in self._container.streams.video if not each.disposition & Disposition.attached_pic]
        known = [each for each in videos if each.codec_context is not None]
        if not known:
            raise MediaError("holds no video that can be read")
        fitting = [each for each in known if _pixels(each) <= MAX_PIXELS]
        best = max(fitting or known, key=_pixels)  # faces are largest there
        VideoDecoder.check_size(best.codec_context.width, best.codec_context.height)
        for stream in self._container.streams:
            if stream is not best:
                stream.discard = Discard.all
        return best


def _pixels(video: Any) -> int:
    return int(video.codec_context.width * video.codec_context.height)


def _ratio(aspect: Any) -> float | None:
    return float(aspect) if aspect else None


def _reason(error: Exception, timeout_s: float | None) -> str:
    """Return what failed, in words that hold no address: FFmpeg's own messages repeat it."""
    import av

    if isinstance(error, av.error.ExitError):
        return f"no answer within {timeout_s:g} s" if timeout_s else "interrupted"
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return "it wants a user name and a password (401), written before its host as user:password@"
    if isinstance(error, av.error.InvalidDataError):
        return "holds no video that can be read"
    return str(getattr(error, "strerror", None) or type(error).__name__)
