"""Pictures: their order, which way up they are, what is damaged, and that nothing is written."""

from __future__ import annotations

import logging
import struct
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender.capture.sources import Source, open_source
from edge_agender.capture.sources.images import pictures_in, read_picture
from edge_agender.config.settings import ImagesConfig, SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame, Picture


def opened(*paths: Path, stop: threading.Event | None = None, **options: object) -> Source:
    config = SourceConfig.model_validate({"kind": "images", "images": ImagesConfig(paths=paths), **options})
    return open_source(config, stop or threading.Event())


def write(path: Path, grey: int = 120, size: tuple[int, int] = (60, 40)) -> Path:
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), grey, np.uint8))
    return path


def frames_of(source: Source) -> list[Frame]:
    frames: list[Frame] = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def greys(frames: list[Frame]) -> list[int]:
    return [round(float(frame.full.mean())) for frame in frames]


def test_a_folder_comes_in_the_order_of_its_names_and_paths_in_theirs(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for name, grey in (("c.png", 30), ("a.PNG", 10), ("b.bmp", 20)):
        write(folder / name, grey)
    write(folder / "below" / "d.png", 99)
    (folder / "notes.txt").write_text("no picture")
    last = write(tmp_path / "0.png", 40)
    with opened(folder, last) as source:
        assert not source.live
        frames = frames_of(source)
        assert source.read() is None
    assert greys(frames) == [10, 20, 30, 40]
    assert [frame.sequence for frame in frames] == [0, 1, 2, 3]
    assert [frame.captured_s for frame in frames] == sorted(frame.captured_s for frame in frames)


def marked() -> Picture:
    """A picture of 48x32 with a white upper left corner."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :16] = 255
    return picture


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Put an Exif segment with one tag, Orientation (0x0112), behind the start of a JPEG."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (4, (1, 0)), (5, (0, 0)), (6, (0, 1)), (7, (1, 1)), (8, (1, 0))],
)
def test_a_telephones_picture_is_the_right_way_up(orientation: int, corner: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    path.write_bytes(with_orientation(bytes(cv2.imencode(".jpg", marked())[1]), orientation))
    picture = read_picture(path)
    assert picture.shape[:2] == ((48, 32) if orientation >= 5 else (32, 48))
    rows, columns = picture.shape[:2]
    white = {
        (down, right)
        for down in (0, 1)
        for right in (0, 1)
        if picture[(4, rows - 5)[down], (4, columns - 5)[right]].min() > 200
    }
    assert white == {corner}


@pytest.mark.parametrize(
    ("suffix", "shape", "kind"),
    [(".png", (20, 30), np.uint8), (".png", (20, 30, 4), np.uint8), (".png", (20, 30, 3), np.uint16)],
)
def test_grey_transparent_and_deep_pictures_become_blue_green_red(
    suffix: str, shape: tuple[int, ...], kind: type[np.generic], tmp_path: Path
) -> None:
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), np.full(shape, np.iinfo(kind).max // 2, kind))
    with opened(path) as source:
        (frame,) = frames_of(source)
    assert frame.full.shape == (20, 30, 3)
    assert frame.full.dtype == np.uint8
    assert frame.full[10, 15].tolist() == pytest.approx([127] * 3, abs=1)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 2000)])
def test_any_size_makes_a_frame(size: tuple[int, int], tmp_path: Path) -> None:
    with opened(write(tmp_path / "odd.png", size=size)) as source:
        (frame,) = frames_of(source)
    assert frame.full.shape[1::-1] == size
    assert 1 <= frame.small.shape[0] <= 240
    assert 1 <= frame.small.shape[1] <= 320


def damaged(kind: str) -> bytes:
    jpeg = bytes(cv2.imencode(".jpg", marked())[1])
    png = bytes(cv2.imencode(".png", marked())[1])
    return {
        "empty": b"",
        "text": b"no picture",
        "garbage": np.random.default_rng(3).bytes(4000),
        "start of a jpeg": jpeg[:100],
        "start of a png": png[:40],
        "a size that no memory holds": png[:16] + struct.pack(">II", 0x7FFFFFFF, 0x7FFFFFFF) + png[24:],
    }[kind]


@pytest.mark.parametrize(
    "kind", ["empty", "text", "garbage", "start of a jpeg", "start of a png", "a size that no memory holds"]
)
def test_what_is_damaged_is_refused_by_name_and_left_out_of_a_folder(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "a.png"
    bad.write_bytes(damaged(kind))
    write(tmp_path / "b.png", 77)
    with opened(bad) as source, pytest.raises(MediaError, match=r"a\.png: not a picture that can be read") as caught:
        source.read()
    assert "\n" not in str(caught.value)
    with caplog.at_level(logging.WARNING), opened(tmp_path) as source:
        assert greys(frames_of(source)) == [77]
    assert "(left out)" in caplog.text


def test_what_is_not_there_is_said_before_the_first_picture(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(MediaError, match=r"none\.png: no such file: give existing pictures"):
        opened(tmp_path / "a.png", tmp_path / "none.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="empty: holds no pictures"):
        opened(tmp_path / "empty")
    with pytest.raises(MediaError, match=r"File name too long|no such file"):
        pictures_in([Path("x" * 300)])


def test_a_picture_that_goes_while_it_waits_its_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(tmp_path / name)
    with opened(tmp_path) as source:
        assert source.read() is not None
        (tmp_path / "b.png").unlink()
        assert len(frames_of(source)) == 1
    assert "No such file" in caplog.text


def test_stop_ends_it_at_the_next_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / name)
    stop = threading.Event()
    with opened(tmp_path, stop=stop) as source:
        assert source.read() is not None
        stop.set()
        assert source.read() is None


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.png")
    before = {item: item.stat().st_mtime_ns for item in tmp_path.rglob("*")}
    with opened(tmp_path, rotate_deg=90) as source:
        for frame in frames_of(source):
            frame.release()
    assert {item: item.stat().st_mtime_ns for item in tmp_path.rglob("*")} == before
