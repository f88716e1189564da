"""The doctor at the camera: missing, hanging, dark, switched off, or held by the running service."""

from __future__ import annotations

import importlib.util
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agender.commands.doctor import camera
from edge_agender.commands.doctor.camera import Look, check_camera
from edge_agender.commands.doctor.result import Result
from edge_agender.config.settings import Config, OpencvConfig, SourceConfig
from edge_agender.device.installation import Place
from edge_agender.imaging.frame import Frame
from edge_agender.web import serve
from edge_agender.web.snapshot import LiveState
from tests.support.broker import free_port
from tests.support.snapshots import snapshot


def config(folder: Path, port: int | None = None, **source: Any) -> Config:
    return Config.model_validate({
        "source": source,
        "web": {"port": port, "enabled": True} if port else {"enabled": False},
        "outbox": {"path": folder / "state"},
        "schedule": {"off_file": folder / "off"},
    })  # fmt: skip


def examined(folder: Path, port: int | None = None, **source: Any) -> tuple[Result, Result]:
    first, second = check_camera(config(folder, port, **source), Place(folder))
    assert (first.check, second.check) == ("camera", "picture")
    return first, second


@pytest.mark.skipif(importlib.util.find_spec("picamera2") is not None, reason="picamera2 is installed here")
def test_without_picamera2_it_says_what_to_install(tmp_path: Path) -> None:
    found, picture = examined(tmp_path, kind="picamera2")
    assert (found.state, picture.state) == ("failure", "skipped")
    assert "Run `sudo apt install python3-picamera2" in str(found.remedy)


def test_a_camera_that_is_not_plugged_in(tmp_path: Path) -> None:
    found, _ = examined(tmp_path, kind="opencv", opencv={"uri": "/dev/no-such-camera"})
    assert found.state == "failure"
    assert "no such camera" in found.finding
    assert str(found.remedy).startswith("Plug it in")


def test_the_demo_delivers(tmp_path: Path) -> None:
    found, picture = examined(tmp_path, kind="demo", rate_hz=60)
    assert (found.state, picture.state) == ("ok", "ok")
    assert "frames a second" in found.finding
    assert picture.finding == "full 1280x960 in colour, small 320x240 in grey"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("grey", "says"), [(2, "it is black"), (120, "without any contrast")])
def test_a_covered_lens(tmp_path: Path, grey: int, says: str) -> None:
    path = tmp_path / "covered.png"
    cv2.imwrite(str(path), np.full((240, 320, 3), grey, np.uint8))
    found, picture = examined(tmp_path, kind="images", images={"paths": [path]})
    assert (found.state, picture.state) == ("ok", "warning")
    assert says in picture.finding


def test_a_stream_with_a_password_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "PATIENCE_S", 0.5)
    uri = f"http://user:planted-s3cret@127.0.0.1:{free_port()}/video?key=planted-s3cret"
    found, _ = examined(tmp_path, kind="opencv", opencv={"uri": uri, "timeout_s": 1})
    assert found.state == "failure"
    assert "planted-s3cret" not in repr(found)


class Fake:
    """A source whose frames are counted, and which hangs after `frames` until it is told to stop."""

    live, progress_s, problem = True, 0.0, None

    def __init__(self, frames: int, stop: threading.Event) -> None:
        self.left, self.stop, self.released, self.closed = frames, stop, 0, False

    def read(self) -> Frame | None:
        if self.left == 0:
            self.stop.wait()
            return None
        self.left -= 1
        full, small = np.full((48, 64, 3), 99, np.uint8), np.eye(24, 32, dtype=np.uint8) * 200
        return Frame(0, 0.0, 0.0, small, full, self._release)

    def _release(self) -> None:
        self.released += 1

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


@pytest.mark.parametrize("frames", [0, 7])
def test_a_camera_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    fakes = []
    monkeypatch.setattr(camera, "PATIENCE_S", 0.2)
    monkeypatch.setattr(camera, "MEASURED_S", 600.0)
    monkeypatch.setattr(camera, "open_source", lambda _, stop: fakes.append(Fake(frames, stop)) or fakes[0])
    found, _ = examined(tmp_path, kind="opencv", opencv={"uri": "/dev/video0"})
    assert found.state == ("ok" if frames else "failure") or "instead of" in found.finding
    assert fakes[0].released == frames
    assert fakes[0].closed


def test_a_camera_that_is_switched_off_stays_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "open_source", lambda *_: pytest.fail("it was opened"))
    (tmp_path / "off").touch()
    found, picture = examined(tmp_path, kind="picamera2")
    assert (found.state, picture.state) == ("skipped", "skipped")
    assert found.finding == "switched off by its off file"


@pytest.mark.parametrize(
    ("changes", "state", "says"),
    [
        ({}, "ok", "frames arrive"),
        ({"camera_problem": "no frame for 5 s: starting the sensor again"}, "failure", "trouble with the camera"),
    ],
)
def test_the_running_service_has_the_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], state: str, says: str
) -> None:
    monkeypatch.setattr(camera, "HEALTH_TIMEOUT_S", 60.0)
    monkeypatch.setattr(camera, "open_source", lambda *_: pytest.fail("it was opened"))
    live = LiveState()
    live.update(snapshot(**changes))
    port = free_port()
    with serve(config(tmp_path, port).web, live):
        found, picture = examined(tmp_path, port, kind="picamera2")
    assert (found.state, picture.state) == (state, "skipped")
    assert says in found.finding


def test_another_program_at_that_port_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "PATIENCE_S", 0.2)
    monkeypatch.setattr(camera, "open_source", lambda _, stop: Fake(7, stop))

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "ok", "state": {"of": "its own"}}')

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        found, _ = examined(tmp_path, other.server_port, kind="opencv", opencv={"uri": "/dev/video0"})
        other.shutdown()
    assert "running service" not in found.finding


def test_a_service_that_only_just_began_is_given_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "HEALTH_TIMEOUT_S", 60.0)
    monkeypatch.setattr(camera, "STARTING_S", 60.0)
    monkeypatch.setattr(camera, "open_source", lambda *_: pytest.fail("it was opened"))
    live, port = LiveState(), free_port()
    with serve(config(tmp_path, port).web, live):
        begun = threading.Timer(0.7, lambda: live.update(snapshot()))
        begun.start()
        found, _ = examined(tmp_path, port, kind="picamera2")
        begun.join()
    assert found.state == "ok"


def test_rate_and_size_are_compared_with_what_was_asked_for() -> None:
    source = SourceConfig(kind="opencv", opencv=OpencvConfig(uri="/dev/video0"))
    whole = Config(source=source)
    good, dark = Look((1280, 960), (320, 240), 90, 40, 14.8, None), Look((640, 480), (320, 240), 90, 40, 4.0, None)
    assert (camera._camera(source, good).state, camera._picture(whole, good).state) == ("ok", "ok")
    assert (camera._camera(source, dark).state, camera._picture(whole, dark).state) == ("warning", "warning")
    turned = Look((960, 1280), (240, 320), 90, 40, 14.8, None)
    assert camera._picture(whole, turned).state == "ok"


@pytest.mark.parametrize(("set_deg", "focal_px", "says"), [(None, 1312.0, 52), (None, None, 62), (40.0, 1312.0, 40)])
def test_it_says_which_field_of_view_distances_count_with(
    set_deg: float | None, focal_px: float | None, says: int
) -> None:
    seen = Look((1280, 960), (320, 240), 90, 40, 14.8, focal_px)
    asked = Config.model_validate({"audience": {"distance": {"lens_hfov_deg": set_deg}}})
    assert camera._picture(asked, seen).finding.endswith(f"; distances count with {says} degrees across")
