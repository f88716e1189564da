"""Picture files -> pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.quiet import silence_opencv

# A picture of 16 k x 16 k pixels takes 800 MB: what is larger is not a camera's.
MAX_FILE_BYTES = 100_000_000


def read_picture(path: Path) -> Picture:
    """Return the picture in a file, turned as its EXIF says: uint8, grey (h, w), B, G, R or B, G, R, A (h, w, c).

    Raises MediaError naming the file where it cannot be read, is too large or holds no picture.
    """
    silence_opencv()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}: give a picture that exists and can be read") from None
    if len(raw) > MAX_FILE_BYTES:
        raise MediaError(f"{path}: too large for a picture: give a photo")
    try:
        picture = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_ANYCOLOR) if raw else None
    except cv2.error:
        picture = None
    if picture is None or not picture.size:
        raise MediaError(f"{path}: not a picture that can be read: give a jpg, png, bmp, webp or tif file")
    return np.asarray(picture, np.uint8)
