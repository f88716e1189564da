from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender.capture import thread as module
from edge_agender.capture.thread import Capture
from edge_agender.config.settings import DemoConfig, ImagesConfig, SourceConfig
from edge_agender.errors import CameraError, MediaError, StalledError
from edge_agender.imaging.frame import Frame
from tests.support.broker import wait_until

DEMO = SourceConfig(kind="demo", width_px=320, height_px=240, rate_hz=10, demo=DemoConfig(pace=False, duration_s=1.0))


def frames(capture: Capture, most: int = 100) -> list[Frame]:
    taken: list[Frame] = []
    while len(taken) < most and not capture.ended:
        frame = capture.slot.take(0.5)
        if frame is not None:
            taken.append(frame)
            frame.release()
    return taken


def test_a_recording_is_read_once_and_ends() -> None:
    capture = Capture(DEMO, until_end=True)
    assert [frame.sequence for frame in frames(capture)] == list(range(10))
    assert capture.ended
    capture.close()


def test_a_recording_starts_again_where_it_shall() -> None:
    capture = Capture(DEMO, until_end=False)
    assert [frame.sequence for frame in frames(capture, 25)] == [*range(10), *range(10), *range(5)]
    capture.close()
    assert capture.slot.ended


def test_time_rises_over_the_seam_of_a_recording_that_is_read_faster_than_it_plays() -> None:
    capture = Capture(DEMO, until_end=False)
    steps = np.diff([frame.captured_s for frame in frames(capture, 35)])
    capture.close()
    seams = np.arange(34) % 10 == 9
    assert steps[~seams] == pytest.approx([0.1] * 31)
    # At a seam its clock may wait for the true one, as long as this machine took for the round before.
    assert (steps > 0.09).all()
    assert (steps[seams] < 600).all()


def test_time_rises_from_what_was_seen_before() -> None:
    after_s = time.monotonic() + 1000
    capture = Capture(DEMO, until_end=True, after_s=after_s)
    assert frames(capture, 1)[0].captured_s == pytest.approx(after_s + 0.1)
    capture.close()


def test_a_live_source_has_the_time_of_the_clock() -> None:
    config = DEMO.model_copy(update={"demo": DemoConfig(pace=True)})
    capture = Capture(config, until_end=True, after_s=time.monotonic() + 1000)
    assert frames(capture, 1)[0].captured_s <= time.monotonic()
    capture.close()


@pytest.mark.parametrize("until_end", [True, False])
def test_a_recording_without_a_picture_is_an_error_and_no_endless_loop(until_end: bool, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    config = SourceConfig(kind="images", images=ImagesConfig(paths=(tmp_path,)))
    capture = Capture(config, until_end=until_end)
    with pytest.raises(MediaError, match="ended without a picture"):
        frames(capture)
    capture.close()


def test_a_recording_that_goes_while_it_is_repeated_ends_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.full((32, 48, 3), 99, np.uint8))
    capture = Capture(SourceConfig(kind="images", images=ImagesConfig(paths=(path,))), until_end=False)
    assert len(frames(capture, 3)) == 3
    path.unlink()
    with pytest.raises(MediaError, match=r"picture\.png: no such file|picture\.png: No such file"):
        frames(capture)
    capture.close()


class Failing:
    """A source that breaks at its first frame."""

    live = True
    progress_s = 0.0
    restarts = 0
    problem = "gone"

    def __init__(self, error: Exception) -> None:
        self.error, self.closed = error, False

    def read(self) -> Frame | None:
        raise self.error

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("error", "expected"), [(CameraError("unplugged"), CameraError), (ZeroDivisionError("a bug"), StalledError)]
)
def test_what_ends_the_thread_ends_the_process(
    error: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Failing(error)
    monkeypatch.setattr(module, "open_source", lambda config, stop: source)
    capture = Capture(DEMO, until_end=False)
    with pytest.raises(expected):
        frames(capture)
    capture.close()
    wait_until(lambda: source.closed)


def test_closing_does_not_wait_for_a_read_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, goes_on = threading.Event(), threading.Event()

    class Hanging(Failing):
        def read(self) -> Frame | None:
            reads.set()
            goes_on.wait(600)
            return None

    source = Hanging(OSError())
    monkeypatch.setattr(module, "open_source", lambda config, stop: source)
    monkeypatch.setattr(module, "CLOSE_WAIT_S", 0.1)
    capture = Capture(DEMO, until_end=False)
    assert reads.wait(60)
    capture.close()
    assert not source.closed, "its buffers must not go while a read fills them"
    goes_on.set()
    wait_until(lambda: source.closed)


def test_what_fails_while_closing_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Failing):
        def close(self) -> None:
            raise OSError("the driver has gone")

    monkeypatch.setattr(module, "open_source", lambda config, stop: Stuck(CameraError("unplugged")))
    capture = Capture(DEMO, until_end=False)
    with pytest.raises(CameraError, match="unplugged"):
        frames(capture)
    wait_until(lambda: "could not be closed" in caplog.text)
    capture.close()
