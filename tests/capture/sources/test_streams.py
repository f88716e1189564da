"""A network camera that falls silent, goes away and comes back; one that was never there; recordings behind a URL."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_agender.capture.sources import Source, nodes, open_source
from edge_agender.capture.sources import reconnect as module
from edge_agender.capture.thread import Capture
from edge_agender.config.settings import OpencvConfig, SourceConfig
from edge_agender.errors import CameraError
from edge_agender.imaging.frame import Frame
from tests.capture.sources.test_video_files import FRAMES, level, levels, write_video
from tests.support.broker import wait_until
from tests.support.network_camera import NetworkCamera
from tests.support.paths import ROOT

# A read that nobody ends gives up after this: SHORT_S where that is waited for, else LONG_S, for a busy machine.
SHORT_S, LONG_S = 1.0, 20.0


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.05)


def config(uri: str, timeout_s: float = SHORT_S) -> SourceConfig:
    return SourceConfig(
        kind="opencv", rate_hz=120, opencv=OpencvConfig(uri=uri, timeout_s=timeout_s, reconnect_max_s=0.1)
    )


@contextmanager
def watched(uri: str, timeout_s: float = SHORT_S) -> Iterator[tuple[Source, threading.Event]]:
    stop = threading.Event()
    with open_source(config(uri, timeout_s), stop) as source:
        yield source, stop


def read_until(source: Source, grey: int) -> Frame:
    """Read on to a frame of that grey: what was on its way before it comes first."""
    while True:
        frame = source.read()
        assert frame is not None
        if abs(float(frame.full.mean()) - grey) < 4:
            return frame
        frame.release()


def test_a_camera_that_is_late_at_first_was_not_restarted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "edge_agender.capture.sources")
    camera = NetworkCamera()
    with watched(camera.uri, LONG_S) as (source, _):
        reader = threading.Thread(target=lambda: read_until(source, 50))
        reader.start()
        wait_until(lambda: any("trying again" in line for line in caplog.messages))
        camera.shows(50)
        with camera.on():
            reader.join(60)
            assert source.problem is None
        assert source.restarts == 0


def test_a_camera_that_goes_away_and_comes_back_is_followed_and_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "edge_agender.capture.sources")
    camera = NetworkCamera()
    with watched(camera.uri, LONG_S) as (source, _):
        camera.shows(50)
        with camera.on():
            first = read_until(source, 50)
            assert source.problem is None
        after: list[Frame] = []
        reader = threading.Thread(target=lambda: after.append(read_until(source, 200)))
        reader.start()
        # Away: the port refuses, again and again.
        wait_until(lambda: sum("trying again" in line for line in caplog.messages) >= 3)
        assert source.problem is not None
        camera.shows(200)
        with camera.on():
            reader.join(60)
            assert source.problem is None
        assert source.restarts == 1
    assert after[0].sequence > first.sequence
    assert after[0].captured_s > first.captured_s
    told = [record.levelname for record in caplog.records if record.levelno > logging.DEBUG]
    assert told == ["INFO", "WARNING", "INFO"], caplog.messages
    assert "frames arrive again" in caplog.text


def test_a_camera_that_falls_silent_is_called_again() -> None:
    camera = NetworkCamera()
    camera.shows(50)
    with camera.on(), watched(camera.uri) as (source, _):
        read_until(source, 50)
        camera.silent = True
        after: list[Frame] = []
        reader = threading.Thread(target=lambda: after.append(read_until(source, 200)))
        reader.start()
        wait_until(lambda: source.problem)
        camera.shows(200)
        camera.silent = False
        reader.join(60)
        assert after
        assert camera.connections >= 2


def test_a_dead_address_says_what_to_do_and_nothing_that_is_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    camera = NetworkCamera()
    uri = camera.uri.replace("http://", "http://user:pl4nted@") + "?key=pl4nted"
    with watched(uri) as (source, stop):
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: len(caplog.messages) >= 3)
        assert source.problem == (
            "http://127.0.0.1: Connection refused: see that it is on, and that source.opencv.uri is its address; "
            "trying again for as long as it takes"
        )
        stop.set()
        reader.join(60)
    assert "pl4nted" not in caplog.text


def test_waiting_to_try_again_is_no_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_S", 3600.0)
    monkeypatch.setattr(module, "STILL_WAITING_S", 0.02)
    with watched(NetworkCamera().uri) as (source, stop):
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: source.problem)
        for _ in range(3):
            seen_s = source.progress_s
            wait_until(lambda seen_s=seen_s: source.progress_s > seen_s)
        stop.set()
        reader.join(60)
        assert not reader.is_alive()


def test_no_timeout_that_may_be_set_is_longer_than_the_watchdogs_patience() -> None:
    unit = (ROOT / "systemd" / "edge-agender.service").read_text()
    watchdog_s = float(unit.partition("WatchdogSec=")[2].partition("\n")[0])
    longest_s = 20.0
    config("rtsp://camera/", longest_s)
    with pytest.raises(ValueError, match="less than or equal"):
        config("rtsp://camera/", longest_s + 0.1)
    assert longest_s + module.STILL_WAITING_S < watchdog_s


def test_stopping_does_not_wait_for_a_camera_that_says_nothing() -> None:
    camera = NetworkCamera(silent=True)
    with camera.on():
        capture = Capture(config(camera.uri, LONG_S), until_end=False)
        wait_until(lambda: camera.connections)
        capture.close()
        # The camera still holds its side: it was not that which ended the wait.
        assert capture.slot.ended
        assert not capture.counts.captured


def test_a_recording_behind_a_url_ends(tmp_path: Path) -> None:
    camera = NetworkCamera(body=write_video(tmp_path / "video.avi", rate_hz=60).read_bytes())
    with camera.on(), watched(camera.uri, LONG_S) as (source, _):
        frames = []
        while (frame := source.read()) is not None:
            frames.append(frame)
    assert levels(frames) == pytest.approx([level(number) for number in range(FRAMES)], abs=3)


@pytest.mark.parametrize("kind", ["a page", "a recording without frames"])
def test_a_url_without_a_picture_is_tried_again_with_pauses(kind: str, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi").read_bytes()
    frames_at = video.index(b"\xff\xd8\xff")
    body = video[:frames_at] + bytes(3000) if "recording" in kind else b"<html>Please log in</html>" * 50
    camera = NetworkCamera(body=body)
    with camera.on(), watched(camera.uri) as (source, stop):
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: camera.connections >= 3)
        assert source.problem is not None
        stop.set()
        reader.join(60)
    assert not reader.is_alive()


def test_a_usb_camera_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="/dev/no-camera: no such camera: plug it in, or choose "):
        open_source(config("/dev/no-camera"), threading.Event())
    with pytest.raises(CameraError, match="/dev/null: no camera, nor any video device: choose "):
        open_source(config("/dev/null"), threading.Event())


def test_a_camera_that_does_not_open_may_be_held_or_closed_to_this_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "is_video", lambda _: True)
    with pytest.raises(CameraError, match="/dev/null: cannot be opened: another program may hold it"):
        open_source(config("/dev/null"), threading.Event())


def test_a_stream_that_is_waited_for_is_named_at_once_without_its_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    camera = NetworkCamera()
    with watched(camera.uri.replace("http://", "http://user:pl4nted@"), timeout_s=7.5) as (source, stop):
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: source.problem)
        stop.set()
        reader.join(60)
    asked = [message for message in caplog.messages if "connecting" in message]
    assert asked == ["http://127.0.0.1: connecting, for up to 7.5 s"]
    assert caplog.messages[0] == asked[0]
