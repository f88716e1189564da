"""What the daemon is shown, as this proof knows it: pictures that are written for it, and the faces in them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_agender.capture.sources import open_source
from edge_agender.config.settings import DetectorConfig, SourceConfig
from edge_agender.imaging.frame import Frame
from edge_agender.vision.assembly import configured_detector
from proofs.no_images.pixels import Bytes, Known

# The middle of a box is all face: it correlates also with a crop that was cut closer than the detector's box.
INNER = 0.7
MAX_FACES = 12


def frames(config: SourceConfig, count: int, every: int = 1) -> Iterator[Frame]:
    """Yield every n-th frame of a source, as the daemon reads them. They are wiped when the next one is asked for."""
    with open_source(config, threading.Event()) as source:
        for number in range(every * count):
            frame = source.read()
            if frame is None:
                return
            if number % every == 0:
                yield frame
            frame.release()


def write_pictures(config: SourceConfig, folder: Path, *, every: int, count: int) -> list[Path]:
    """Write every n-th frame of a source as lossless pictures and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, frame in enumerate(frames(config, count, every)):
        paths.append(folder / f"{number:04}.png")
        cv2.imwrite(str(paths[-1]), frame.full)
    return paths


def known(config: SourceConfig, count: int, every: int = 1) -> Known:
    """Return every n-th frame of a source in every layout that code could keep them in, and the faces found in them."""
    detector = configured_detector(DetectorConfig())
    layouts: list[bytes] = []
    faces: list[Bytes] = []
    for frame in frames(config, count, every):
        layouts += _layouts(frame)
        grey = cv2.cvtColor(frame.full, cv2.COLOR_BGR2GRAY)
        faces += [_inner(np.asarray(grey), found.box) for found in detector.detect(frame) if found.box.width >= 24]
    return Known(tuple(layouts), tuple(_spread(faces)))


def _layouts(frame: Frame) -> list[bytes]:
    full = frame.full
    grey = cv2.cvtColor(full, cv2.COLOR_BGR2GRAY)
    planes = [np.ascontiguousarray(full[:, :, channel]).tobytes() for channel in range(3)]
    small = [picture.tobytes() for picture in (frame.small, frame.small_bgr) if picture is not None]
    return [full.tobytes(), full[:, :, ::-1].tobytes(), *planes, grey.tobytes(), *small]


def _inner(grey: Bytes, box: Sequence[float]) -> Bytes:
    x1, y1, x2, y2 = box
    x, y, w, h = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) * INNER / 2, (y2 - y1) * INNER / 2
    cut = grey[max(int(y - h), 0) : int(y + h), max(int(x - w), 0) : int(x + w)].copy()
    return np.asarray(cv2.resize(cut, (64, 64), interpolation=cv2.INTER_AREA), np.uint8)


def _spread(faces: list[Bytes]) -> list[Bytes]:
    """At most so many, from the beginning to the end."""
    return faces[:: max(1, -(-len(faces) // MAX_FACES))]
