"""Videos and pictures of the demo's synthetic people, made for a test by PyAV, as cameras make them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from edge_agender.capture.sources.demo import DemoSource
from edge_agender.config.settings import DemoConfig, SourceConfig

Image = NDArray[np.uint8]
RATE_HZ = 15
SIZE = (640, 480)


@functools.cache
def people(count: int = 30, size: tuple[int, int] = SIZE) -> tuple[Image, ...]:
    """Three people who stand there, in `count` pictures (h, w, 3), B, G, R."""
    demo = DemoConfig(people=3, pace=False, stay=True)
    config = SourceConfig(kind="demo", width_px=size[0], height_px=size[1], rate_hz=RATE_HZ, demo=demo)
    pictures = []
    with DemoSource(config, threading.Event()) as source:
        for _ in range(count):
            frame = source.read()
            assert frame is not None
            pictures.append(frame.full.copy())
    return tuple(pictures)


def empty(count: int = 30, size: tuple[int, int] = SIZE) -> tuple[Image, ...]:
    """A grey wall with grain, nobody before it."""
    random = np.random.default_rng(1)
    return tuple(random.integers(100, 130, (size[1], size[0], 3), np.uint8) for _ in range(count))


def write(
    path: Path | Any,
    pictures: Iterable[Image],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate_hz: float = RATE_HZ,
    stamps_s: Sequence[float] | None = None,
    aspect: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    container: Mapping[str, Any] | None = None,
    prepare: Callable[[Any, Any], None] | None = None,
) -> Path | Any:
    """Write a video; `stamps_s` are the pictures' times, `prepare(output, stream)` is called before the first."""
    with av.open(path if not isinstance(path, Path) else str(path), "w", **(container or {})) as output:
        stream: Any = None
        for number, picture in enumerate(pictures):
            if stream is None:
                fast = {"preset": "ultrafast", "g": "15"} if codec == "libx264" else {}
                stream = output.add_stream(
                    codec, rate=Fraction(rate_hz).limit_denominator(1000), options=fast | dict(options or {})
                )
                stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], pix_fmt
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
                if stamps_s is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
                if prepare is not None:
                    prepare(output, stream)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            if stamps_s is not None:
                frame.pts, frame.time_base = round(stamps_s[number] * 1000), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
