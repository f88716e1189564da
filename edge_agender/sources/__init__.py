"""Where frames come from. `open_source` opens the one that is configured; the others are not even imported."""

from __future__ import annotations

import threading

from edge_agender.settings import SourceConfig
from edge_agender.sources.base import Source

__all__ = ["Source", "open_source"]


def open_source(config: SourceConfig, stop: threading.Event) -> Source:
    """Return the configured source, ready to read; setting `stop` ends its `read`.

    Raises CameraError or MediaError, which say what to do.
    """
    if config.kind == "picamera2":
        from edge_agender.sources.picamera import PicameraSource

        return PicameraSource(config, stop)
    if config.kind == "opencv":
        from edge_agender.sources.opencv import open_video

        return open_video(config, stop)
    if config.kind == "images":
        from edge_agender.sources.images import ImagesSource

        return ImagesSource(config, stop)
    from edge_agender.sources.demo import DemoSource

    return DemoSource(config, stop)
