"""Where frames come from. `open_source` opens the one that is configured; the others are not even imported."""

from __future__ import annotations

import threading

from edge_agender.capture.sources.base import Source
from edge_agender.config.settings import SourceConfig

__all__ = ["Source", "open_source"]


def open_source(config: SourceConfig, stop: threading.Event) -> Source:
    """Return the configured source, ready to read; setting `stop` ends its `read`.

    Raises CameraError or MediaError, which say what to do.
    """
    if config.kind == "picamera2":
        from edge_agender.capture.sources.picamera import PicameraSource

        return PicameraSource(config, stop)
    if config.kind == "opencv":
        from edge_agender.capture.sources.video import open_video

        return open_video(config, stop)
    if config.kind == "images":
        from edge_agender.capture.sources.images import ImagesSource

        return ImagesSource(config, stop)
    from edge_agender.capture.sources.demo import DemoSource

    return DemoSource(config, stop)
