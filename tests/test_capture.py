from __future__ import annotations

import threading

import pytest
from broker import wait_until

from edge_agender import capture as module
from edge_agender.capture import Capture
from edge_agender.errors import CameraError, StalledError
from edge_agender.records import Frame
from edge_agender.settings import DemoConfig, SourceConfig

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


class Failing:
    """A source that breaks at its first frame."""

    live = True
    progress_s = 0.0
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
    goes_on = threading.Event()

    class Hanging(Failing):
        def read(self) -> Frame | None:
            goes_on.wait(600)
            return None

    source = Hanging(OSError())
    monkeypatch.setattr(module, "open_source", lambda config, stop: source)
    monkeypatch.setattr(module, "CLOSE_WAIT_S", 0.1)
    Capture(DEMO, until_end=False).close()
    assert not source.closed, "its buffers must not go while a read fills them"
    goes_on.set()
    wait_until(lambda: source.closed)
