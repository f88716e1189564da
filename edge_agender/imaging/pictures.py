"""The one reader of still pictures: which formats, how large at most, and which way up."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agender.common.files import opened
from edge_agender.common.masking import shown
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.orientation import UPRIGHT, upright
from edge_agender.imaging.preprocess import to_bgr
from edge_agender.imaging.quiet import silence_opencv

# More than any camera's photo of 48 megapixels; decoded it takes 192 MB.
MAX_PIXELS = 64_000_000
MAX_BYTES = 100_000_000
# In this order: Pillow loads all of its readers once it comes to the sixth.
_FORMATS = ("JPEG", "PNG", "BMP", "PPM", "GIF", "WEBP", "TIFF", "JPEG2000")
_NAMED = "jpg, png, webp, tif, gif, bmp, ppm or jp2"
_ORIENTATION = 0x0112
# OpenCV keeps 16-bit pictures right and is told not to turn; of the others Pillow knows pages, frames and orientation.
_BY_OPENCV = frozenset(["JPEG", "MPO", "PNG", "BMP", "PPM", "JPEG2000"])
_EIGHT_BITS = frozenset(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"])
_HEIF_BRANDS = frozenset([b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"])


def read_picture(path: Path) -> Picture:
    """Return the picture in a file as (h, w, 3) B, G, R, upright as its EXIF says; of several the first.

    Raises MediaError naming the file where it can't be read or, before it is decoded, where it is too large.
    """
    try:
        with opened(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MediaError(
            f"{shown(str(path))}: {error.strerror or error}: give a picture that exists and can be read"
        ) from None
    if len(data) > MAX_BYTES:
        raise MediaError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB: give a photo")
    return decode_picture(data, str(path))


def decode_picture(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the encoded picture as (h, w, 3) B, G, R, upright; raise MediaError, which begins with `name`."""
    silence_opencv()
    if not data:
        raise MediaError(f"{name}: not a picture that can be read: it is empty")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        raise MediaError(f"{name}: HEIC and AVIF pictures cannot be read: save it as jpg first")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's of large and of damaged pictures: both are judged here
        picture = _decoded(data, name, max_pixels)
    if picture is None or not picture.size:
        raise MediaError(f"{name}: not a picture that can be read: give a {_NAMED} file")
    return picture


def _decoded(data: bytes, name: str, max_pixels: int) -> Picture | None:
    """The picture; None where it is damaged beyond repair or of no known format."""
    image = _opened(data, name, max_pixels)
    if image is None:
        return None
    width, height = image.size
    if width * height > max_pixels:
        raise _too_large(name, f"{width} x {height} pixels", max_pixels)
    if image.format not in _BY_OPENCV and image.mode in _EIGHT_BITS:
        return _by_pillow(image)
    # OpenCV has turned the pictures of the one format that it is left with beyond its own.
    orientation = UPRIGHT if image.format == "TIFF" else _orientation(image)
    picture = _by_opencv(data)
    return None if picture is None else upright(picture, orientation)


def _opened(data: bytes, name: str, max_pixels: int) -> Any:
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(name, f"over {2 * (Image.MAX_IMAGE_PIXELS or max_pixels)} pixels", max_pixels) from None
    except Exception:  # of damaged files its readers raise whatever happened to them
        return None


def _too_large(name: str, size: str, max_pixels: int) -> MediaError:
    most = max_pixels // 1_000_000
    return MediaError(f"{name}: {size}, more than the {most} million that are decoded: give a smaller picture")


def _orientation(image: Any) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, UPRIGHT))
    except Exception:  # damaged EXIF: the picture may be good
        return UPRIGHT


def _by_pillow(image: Any) -> Picture | None:
    try:
        image.load()  # turns pictures of some formats, and then no longer says that they are to be turned
        rgb = np.asarray(image.convert("RGB"), np.uint8)
    except Exception:
        return None
    return upright(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8), _orientation(image))


def _by_opencv(data: bytes) -> Picture | None:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return None if picture is None else to_bgr(np.asarray(picture, np.uint8))
