"""Still pictures of every format are upright, bounded before they are decoded, and refused in one line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.orientation import upright
from edge_agender.imaging.pictures import MAX_PIXELS, decode_picture, read_picture
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.stills import frame_of
from tests.support.videos import people

ORIENTATION = 0x0112
LOSSLESS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
}
# The stored picture of each orientation that shows people upright.
STORED = {number: {6: 8, 8: 6}.get(number, number) for number in range(1, 9)}


def encoded(picture: np.ndarray, kind: str, orientation: int | None = None, **options: Any) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))
    image.save(file, kind, **({"exif": exif} if orientation is not None else {}), **LOSSLESS.get(kind, {}), **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", sorted(LOSSLESS))
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_of_every_format_turns_and_mirrors(kind: str, orientation: int) -> None:
    picture = people(1)[0]
    data = encoded(upright(picture, STORED[orientation]), kind, orientation)
    found = decode_picture(data, "a")
    assert found.shape == picture.shape
    assert float(cv2.absdiff(found, picture).mean()) < 3


@pytest.mark.parametrize("options", [{"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}])
def test_compressed_tiffs_turn_too(options: dict[str, str]) -> None:
    picture = people(1)[0]
    assert (decode_picture(encoded(upright(picture, 8), "TIFF", 6, **options), "a") == picture).all()


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_without_sense_is_upright(orientation: int) -> None:
    picture = people(1)[0]
    assert (decode_picture(encoded(picture, "PNG", orientation), "a") == picture).all()


def test_the_faces_of_a_turned_webp_are_found() -> None:
    detector = configured_detector(DetectorConfig())
    data = encoded(upright(people(1)[0], 8), "WEBP", 6)
    assert len(detector.detect(frame_of(decode_picture(data, "a")))) == 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "GIF"])
def test_of_several_pages_or_frames_the_first_is_read(kind: str) -> None:
    first, *others = (Image.fromarray(each[..., ::-1]) for each in (people(1)[0], np.zeros_like(people(1)[0])))
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=others, **LOSSLESS.get(kind, {}))
    found = decode_picture(file.getvalue(), "a")
    assert float(cv2.absdiff(found, people(1)[0]).mean()) < (12 if kind == "GIF" else 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGBA", "CMYK", "1"])
def test_grey_palettes_alpha_and_ink_are_read_as_colours(kind: str, mode: str) -> None:
    image = Image.fromarray(people(1)[0][..., ::-1]).convert(mode)
    file = io.BytesIO()
    try:
        image.save(file, kind)
    except (OSError, ValueError):
        pytest.skip("no such pictures")
    found = decode_picture(file.getvalue(), "a")
    assert found.shape == people(1)[0].shape
    stored = Image.open(io.BytesIO(file.getvalue()))
    wanted = cv2.cvtColor(np.asarray(stored.convert("RGB")), cv2.COLOR_RGB2BGR)
    assert float(cv2.absdiff(found, wanted).mean()) < (20 if mode == "CMYK" else 2)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_not_clipped(suffix: str) -> None:
    deep = people(1)[0].astype(np.uint16) * 257
    found = decode_picture(bytes(cv2.imencode(suffix, deep)[1]), "a")
    assert float(cv2.absdiff(found, people(1)[0]).mean()) < 1


def png_of(width: int, height: int) -> bytes:
    """A PNG's header that promises so many pixels, and a little data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(5000))) + chunk(b"IEND", b"")
    )


def bomb(kind: str) -> bytes:
    """A few kilobytes that claim to be a huge picture."""
    width, height = 12_000, 9_000
    if kind == "PNG":
        return png_of(width, height)
    if kind == "JPEG":
        data = bytearray(encoded(np.zeros((16, 16, 3), np.uint8), "JPEG"))
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
        return bytes(data)
    if kind == "GIF":
        data = bytearray(encoded(np.zeros((16, 16, 3), np.uint8), "GIF"))
        data[6:10] = struct.pack("<HH", width, height)
        return bytes(data)
    if kind == "PPM":
        return b"P6 %d %d 255\n" % (width, height) + bytes(100)
    if kind == "BMP":
        data = bytearray(encoded(np.zeros((16, 16, 3), np.uint8), "BMP"))
        data[18:26] = struct.pack("<ii", width, height)
        return bytes(data)
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "TIFF", compression="group4")
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "PPM", "BMP", "TIFF"])
def test_a_picture_bomb_is_refused_before_it_is_decoded(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(bomb(kind))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    assert path.stat().st_size < 100_000
    with pytest.raises(MediaError, match=r"bomb: 12000 x 9000 pixels, more than the 64 million that are decoded: give"):
        read_picture(path)


def test_a_bomb_beyond_every_bound_is_refused_too() -> None:
    with pytest.raises(MediaError, match="more than the 64 million that are decoded"):
        decode_picture(png_of(60_000, 60_000), "a")


def test_a_photo_of_a_phone_is_no_bomb() -> None:
    assert MAX_PIXELS > 8064 * 6048


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif"])
def test_what_phones_store_is_refused_in_words(brand: bytes) -> None:
    data = b"\0\0\0\x18ftyp" + brand + bytes(200)
    with pytest.raises(MediaError, match="a: HEIC and AVIF pictures cannot be read: save it as jpg first"):
        decode_picture(data, "a")


def said(data: bytes) -> str:
    """What is said of a picture that cannot be read; empty where it can."""
    try:
        assert decode_picture(data, "a").ndim == 3
    except MediaError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7])
def test_what_was_cut_off_is_read_or_refused_in_one_line(kind: str, part: float) -> None:
    data = encoded(people(1)[0], kind)
    words = said(data[: round(len(data) * part)])
    assert not words or words.startswith("a: not a picture that can be read")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_never_end_in_a_traceback(seed: int) -> None:
    random = np.random.default_rng(seed)
    kind = sorted(LOSSLESS)[seed % 4]
    data = bytearray(encoded(cv2.resize(people(1)[0], (64, 48)), kind, 6))
    for at in random.integers(0, min(len(data), 300), 8):
        data[at] = random.integers(0, 256)
    assert "\n" not in said(bytes(data))
