"""Video files: at their own speed or as fast as they are asked for, damaged, oddly named, turned."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender.capture.sources import Source, open_source
from edge_agender.config.settings import OpencvConfig, RegionConfig, SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame

SIZE = (96, 64)
FRAMES = 12


def level(number: int) -> int:
    return 20 + 18 * number


def write_video(path: Path, frames: int = FRAMES, rate_hz: float = 25.0) -> Path:
    """Grey pictures, each a little lighter than the one before, with a white upper left quarter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, SIZE)
    for number in range(frames):
        picture = np.full((SIZE[1], SIZE[0], 3), level(number), np.uint8)
        picture[: SIZE[1] // 2, : SIZE[0] // 2] = 255
        writer.write(picture)
    writer.release()
    return path


def opened(uri: Path | str, stop: threading.Event | None = None, *, pace: bool = False, **options: object) -> Source:
    video = OpencvConfig(uri=str(uri), pace=pace)
    config = SourceConfig.model_validate({"kind": "opencv", "opencv": video, **options})
    return open_source(config, stop or threading.Event())


def frames_of(source: Source, most: int = 1000) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < most and (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def levels(frames: list[Frame]) -> list[int]:
    """The grey of the lower right quarter, by which a frame is known."""
    return [round(float(frame.full[SIZE[1] * 3 // 4, SIZE[0] * 3 // 4].mean())) for frame in frames]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.avi")


def test_every_frame_comes_once_in_order_with_the_files_own_times(path: Path) -> None:
    with opened(path) as source:
        assert not source.live
        frames = frames_of(source)
        assert source.read() is None
    assert levels(frames) == pytest.approx([level(number) for number in range(FRAMES)], abs=3)
    assert [frame.sequence for frame in frames] == list(range(FRAMES))
    assert np.diff([frame.captured_s for frame in frames]) == pytest.approx(1 / 25, abs=1e-3)


def test_a_paced_file_is_live_and_never_ahead_of_its_own_speed(path: Path) -> None:
    with opened(path, pace=True) as source:
        assert source.live
        began_s = time.monotonic()
        frames = frames_of(source)
    # Late it may be, on a busy machine; early never.
    due_s = [began_s + number / 25 for number in range(FRAMES)]
    assert all(frame.captured_s >= due - 0.001 for frame, due in zip(frames, due_s, strict=True))


def test_stop_ends_a_wait_for_a_frame_that_is_not_due_yet(tmp_path: Path) -> None:
    stop = threading.Event()
    with opened(write_video(tmp_path / "slow.avi", 3, rate_hz=0.15), stop, pace=True) as source:
        first = source.read()
        assert first is not None
        read: list[Frame | None] = []
        reader = threading.Thread(target=lambda: read.append(source.read()))
        reader.start()
        stop.set()
        reader.join(60)
    assert read == [None]


def test_closing_is_final_and_may_be_repeated(path: Path) -> None:
    source = opened(path)
    source.close()
    source.close()
    assert source.read() is None


@pytest.mark.parametrize("name", ["12:30.avi", "a b%20c.avi", "ä-%03d.avi"])
def test_a_name_is_a_name_and_no_url(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "plain.avi").rename(tmp_path / name)
    with opened(name) as source:
        assert source.read() is not None


def test_a_file_url_is_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "plain.avi").rename(tmp_path / "a b.avi")
    with opened(path.as_uri()) as source:
        assert source.read() is not None


def damaged(path: Path, kind: str) -> bytes:
    data = path.read_bytes()
    random = np.random.default_rng(5)
    return {
        "empty": b"",
        "garbage": random.bytes(5000),
        "text": b"not a video\n" * 300,
        "a picture's beginning": b"\xff\xd8\xff\xe0" + random.bytes(100),
        "header only": data[:200],
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "garbage", "text", "a picture's beginning", "header only"])
def test_what_is_no_video_is_one_line(kind: str, path: Path) -> None:
    path.write_bytes(damaged(path, kind))
    with pytest.raises(MediaError, match=r"video\.avi: holds no video that can be read: give an mp4") as caught:
        opened(path)
    assert "\n" not in str(caught.value)


QUIET = """
import sys, threading
from edge_agender.errors import MediaError
from edge_agender.config.settings import OpencvConfig, SourceConfig
from edge_agender.capture.sources import open_source
for uri in sys.argv[1:]:
    stop = threading.Event()
    try:
        with open_source(SourceConfig(kind="opencv", opencv=OpencvConfig(uri=uri)), stop) as source:
            source.failed = lambda *_: stop.set()
            source.read()
    except MediaError:
        print("refused")
"""


def test_opencv_and_ffmpeg_keep_quiet(path: Path) -> None:
    path.write_bytes(damaged(path, "a picture's beginning"))
    words = [sys.executable, "-c", QUIET, str(path), "http://user:pl4nted@127.0.0.1:1/video"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")


def test_a_file_cut_short_gives_what_it_has(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 85 // 100])
    with opened(path) as source:
        shown = levels(frames_of(source))
    assert 1 < len(shown) < FRAMES
    assert shown == pytest.approx([level(number) for number in range(len(shown))], abs=3)


@pytest.mark.parametrize("seed", range(8))
def test_damage_in_the_middle_ends_in_frames_or_one_line(seed: int, path: Path) -> None:
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(300, len(data), 40):
        data[place] = random.integers(256)
    path.write_bytes(data)
    try:
        with opened(path) as source:
            frames = frames_of(source)
    except MediaError:
        return
    assert all(frame.full.shape == (SIZE[1], SIZE[0], 3) for frame in frames)


def test_what_is_missing_unreadable_or_no_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError, match="no such file: give an existing video, a URL"):
        opened(tmp_path / "none.mp4")
    with pytest.raises(MediaError, match="no such file"):
        opened(tmp_path)
    with pytest.raises(MediaError, match=r"File name too long|no such file"):
        opened("x" * 300)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(MediaError, match="this user may not read it"):
        opened(write_video(tmp_path / "video.avi"))


def test_an_address_without_its_scheme_does_not_show_its_password() -> None:
    with pytest.raises(MediaError, match="no such file") as caught:
        opened("user:pl4nted@camera/stream")
    assert "pl4nted" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "corner"),
    [
        ({}, (0, 0)),
        ({"rotate_deg": 90}, (0, 1)),
        ({"rotate_deg": 180}, (1, 1)),
        ({"rotate_deg": 270}, (1, 0)),
        ({"flip_horizontal": True}, (0, 1)),
        ({"flip_vertical": True}, (1, 0)),
        ({"rotate_deg": 90, "flip_horizontal": True}, (0, 0)),
    ],
)
def test_the_picture_is_turned_as_asked(path: Path, options: dict[str, object], corner: tuple[int, int]) -> None:
    with opened(path, **options) as source:
        frame = source.read()
    assert frame is not None
    height, width = frame.full.shape[:2]
    assert (width, height) == (SIZE if options.get("rotate_deg", 0) in (0, 180) else SIZE[::-1])
    for picture in (frame.full[:, :, 0], frame.small):
        rows, columns = picture.shape
        white = {
            (down, right)
            for down in (0, 1)
            for right in (0, 1)
            if picture[rows * (1 + 2 * down) // 4, columns * (1 + 2 * right) // 4] > 240
        }
        assert white == {corner}


def test_the_region_alone_is_seen(path: Path) -> None:
    with opened(path, region=RegionConfig(x=0.5, y=0.5, width=0.5, height=0.25)) as source:
        frame = source.read()
    assert frame is not None
    assert frame.full.shape == (SIZE[1] // 4, SIZE[0] // 2, 3)
    assert frame.full.max() < 60
    assert frame.scale == pytest.approx(frame.full.shape[0] / frame.small.shape[0], rel=0.02)


def test_nothing_is_written(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = {item: item.stat().st_mtime_ns for item in tmp_path.rglob("*")}
    with opened(path) as source:
        for frame in frames_of(source):
            frame.release()
    assert {item: item.stat().st_mtime_ns for item in tmp_path.rglob("*")} == before
