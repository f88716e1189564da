"""Annotated pictures -> an mp4 that every browser plays: the file is there when it is complete, or not at all."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import av.logging

from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Picture

CLOCK = Fraction(1, 90_000)


class Film:
    """Writes one film; a context manager that leaves no half of it behind. Raises MediaError, which says what to do."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        if path.is_dir():
            raise MediaError(f"{path}: a folder: give the film's name too, such as {path}/annotated.mp4")
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        self._last = -1
        self._size: tuple[int, int] | None = None
        av.logging.set_level(None)
        try:
            self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "+faststart"})
        except (OSError, ValueError) as error:
            raise self._failure(error) from None
        # One of two cores: the other one finds the faces.
        self._stream = self._container.add_stream("libx264", rate=Fraction(round(rate_hz * 1000), 1000))
        self._stream.options = {"crf": "23", "preset": "veryfast", "threads": "1"}

    def __enter__(self) -> Self:
        return self

    def write(self, picture: Picture, t_s: float) -> None:
        """Add a picture, B, G, R, shown from `t_s` on; all have the first one's size."""
        even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        if self._size is None:
            self._size = self._stream.width, self._stream.height = even.shape[1], even.shape[0]
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = CLOCK
        frame = av.VideoFrame.from_ndarray(even, format="bgr24")
        self._last = max(round(t_s / float(CLOCK)), self._last + 1)
        frame.pts, frame.time_base = self._last, CLOCK
        try:
            self._container.mux(self._stream.encode(frame))
        except OSError as error:
            raise self._failure(error) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._size is not None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._part.replace(self._path)
        except OSError as error:
            raise self._failure(error) from None

    def _discard(self) -> None:
        with suppress(OSError):  # a full disk takes no last words either
            self._container.close()
        self._part.unlink(missing_ok=True)

    def _failure(self, error: Exception) -> MediaError:
        self._part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or type(error).__name__
        return MediaError(f"{self._path}: {reason}: give --out where there is room and you may write")
