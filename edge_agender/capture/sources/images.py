"""Pictures: files, or folders of them in the order of their names."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_agender.capture.sources.base import BaseSource, Framer
from edge_agender.common.masking import shown
from edge_agender.common.media import PICTURE_SUFFIXES
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.pictures import read_picture

log = logging.getLogger(__name__)


def pictures_in(paths: Iterable[Path]) -> list[tuple[Path, bool]]:
    """Return every file named or found (not recursively) in a folder, with whether it was named itself.

    Raises MediaError for a path that does not exist and for a folder without pictures.
    """
    found: list[tuple[Path, bool]] = []
    for path in paths:
        try:
            found += _pictures_at(path)
        except OSError as error:
            raise MediaError(
                f"{shown(str(path))}: {error.strerror or error}: give pictures or folders that can be read"
            ) from None
    return found


def _pictures_at(path: Path) -> list[tuple[Path, bool]]:
    if not path.exists():
        raise MediaError(f"{shown(str(path))}: no such file: give existing pictures or folders")
    if not path.is_dir():
        return [(path, True)]
    inside = sorted(item for item in path.iterdir() if item.suffix.lower() in PICTURE_SUFFIXES and item.is_file())
    if not inside:
        raise MediaError(f"{path}: holds no pictures: give a folder with jpg, png, bmp, webp or tif files")
    return [(item, False) for item in inside]


class ImagesSource(BaseSource):
    """One frame a picture, as fast as they are asked for. `captured_s` is when it was read.

    An unreadable file that was named is a MediaError; one found in a folder is left out with a warning.
    """

    live = False

    def __init__(self, config: SourceConfig, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop
        self._framer = Framer(config)
        self._left: Iterator[tuple[Path, bool]] = iter(pictures_in(config.images.paths))

    def __enter__(self) -> ImagesSource:
        return self

    def read(self) -> Frame | None:
        for path, was_named in self._left:
            if self._stop.is_set():
                return None
            try:
                picture = read_picture(path)
            except MediaError as error:
                if was_named:
                    raise
                log.warning("%s (left out)", error)
                continue
            self.made_progress()
            return self._framer.frame(picture, time.monotonic())
        return None
