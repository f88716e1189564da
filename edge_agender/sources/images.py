"""Pictures: files, or folders of them in the order of their names."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_agender.errors import MediaError
from edge_agender.records import Frame, Picture
from edge_agender.settings import SourceConfig
from edge_agender.sources.base import BaseSource, Framer, silence_opencv

log = logging.getLogger(__name__)

SUFFIXES = frozenset([".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"])


def read_picture(path: Path) -> Picture:
    """Return the picture in a file: uint8, grey (h, w), B, G, R or B, G, R, A. Raises MediaError naming the file."""
    silence_opencv()
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}: give a picture that exists and can be read") from None
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
    except cv2.error:
        picture = None
    if picture is None or not picture.size:
        raise MediaError(f"{path}: not a picture that can be read: give a jpg, png, bmp, webp or tif file")
    return np.asarray(picture, np.uint8)


def pictures_in(paths: Iterable[Path]) -> list[tuple[Path, bool]]:
    """Return every file named or found (not recursively) in a folder, with whether it was named itself.

    Raises MediaError for a path that does not exist and for a folder without pictures.
    """
    found: list[tuple[Path, bool]] = []
    for path in paths:
        try:
            found += _pictures_at(path)
        except OSError as error:
            raise MediaError(f"{path}: {error.strerror or error}: give pictures or folders that can be read") from None
    return found


def _pictures_at(path: Path) -> list[tuple[Path, bool]]:
    if not path.exists():
        raise MediaError(f"{path}: no such file: give existing pictures or folders")
    if not path.is_dir():
        return [(path, True)]
    inside = sorted(item for item in path.iterdir() if item.suffix.lower() in SUFFIXES and item.is_file())
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
