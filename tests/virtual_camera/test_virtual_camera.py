"""The picamera2 source under the real picamera2 on libcamera's virtual cameras. Run it with ./run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pivirt = pytest.importorskip("pivirt", reason="needs the virtual cameras: tests/virtual_camera/run")
Image = pytest.importorskip("PIL.Image")

FRAMES = Path("/tmp/frames")
FRAMES.mkdir(exist_ok=True)
for _index, _colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
    Image.new("RGB", (640, 480), _colour).save(FRAMES / f"{_index}.jpg", quality=95)

from picamera2 import Picamera2  # noqa: E402

from edge_agender.capture.sources.picamera import PicameraSource, sensor_time_s  # noqa: E402
from edge_agender.commands.doctor.camera import check_camera  # noqa: E402
from edge_agender.commands.doctor.result import Result  # noqa: E402
from edge_agender.config.settings import Config, SourceConfig  # noqa: E402
from edge_agender.device.installation import Place  # noqa: E402
from edge_agender.errors import CameraError, StalledError  # noqa: E402
from edge_agender.imaging.frame import Frame  # noqa: E402


def number(identity: str) -> int:
    return next(i for i, info in enumerate(Picamera2.global_camera_info()) if info["Id"] == identity)


def config(identity: str = "Virtual0", **options: object) -> SourceConfig:
    camera = {"camera": number(identity), "timeout_s": 2.0, "autofocus": "off"} | options.pop("picamera2", {})  # type: ignore[operator]
    sizes = {"width_px": 640, "height_px": 480, "small_width_px": 320, "small_height_px": 240}
    return SourceConfig.model_validate({"kind": "picamera2", "picamera2": camera, **sizes, **options})


def taken(source: PicameraSource, count: int) -> list[Frame]:
    """Read frames and give each back; their pictures are copied, the frames are not to be read any more."""
    frames = []
    for _ in range(count):
        frame = source.read()
        assert frame is not None
        assert frame.small_bgr is not None
        small, full, small_bgr = frame.small.copy(), frame.full.copy(), frame.small_bgr.copy()
        frames.append(Frame(frame.sequence, frame.captured_s, frame.utc_s, small, full, small_bgr=small_bgr))
        frame.release()
    return frames


@pytest.mark.parametrize("platform", ["vc4", "pisp"])
@pytest.mark.parametrize("width", [312, 320])
def test_both_streams_arrive_whatever_the_stride(platform: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pivirt, "PISP", platform == "pisp")
    with PicameraSource(config(small_width_px=width), threading.Event()) as source:
        (frame,) = taken(source, 1)
    assert frame.full.shape == (480, 640, 3)
    assert frame.small.shape == (240, width)
    # The bars of the test pattern: the luma of the small picture is that of the full one.
    blue, green, red = (frame.full[240, :, i].astype(float) for i in range(3))
    full_luma = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    x = (np.arange(width) + 0.5) * 640 / width
    difference = np.abs(full_luma[x.astype(int)] - frame.small[120].astype(float))
    assert np.median(difference) < 6
    assert len(np.unique(frame.small[120])) >= 8


@pytest.mark.parametrize("platform", ["vc4", "pisp"])
def test_colours_are_blue_green_red(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pivirt, "PISP", platform == "pisp")
    with PicameraSource(config("Virtual1"), threading.Event()) as source:
        frames = taken(source, 24)
    pure = {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert {tuple(round(c / 255) for c in frame.full[240, 320]) for frame in frames} == pure
    smalls = [frame.small_bgr for frame in frames]
    assert {tuple(round(c / 255) for c in small[120, 160]) for small in smalls if small is not None} == pure


def test_requests_are_given_back_and_time_moves_on() -> None:
    with PicameraSource(config(picamera2={"buffers": 3}), threading.Event()) as source:
        frames = taken(source, 20)
    times = [frame.captured_s for frame in frames]
    assert times == sorted(times)
    assert [frame.sequence for frame in frames] == list(range(20))
    assert abs(times[-1] - time.monotonic()) < 60


def test_two_frames_may_be_held_while_others_come() -> None:
    with PicameraSource(config(), threading.Event()) as source:
        held = [source.read() for _ in range(2)]
        assert len(taken(source, 8)) == 8
        for frame in held:
            assert frame is not None
            frame.release()


def test_released_pictures_are_wiped() -> None:
    with PicameraSource(config(), threading.Event()) as source:
        frame = source.read()
        assert frame is not None
        shown = [frame.small, frame.full, frame.small_bgr]
        assert all(picture is not None and picture.any() for picture in shown)
        frame.release()
        assert not any(picture is not None and picture.any() for picture in shown)


def test_a_quarter_turn_and_a_region() -> None:
    turned = config(rotate_deg=90, region={"x": 0.0, "y": 0.0, "width": 0.5, "height": 1.0})
    with PicameraSource(turned, threading.Event()) as source:
        (frame,) = taken(source, 1)
    assert frame.full.shape == (640, 240, 3)
    assert frame.small.shape == (320, 120)
    assert frame.small_bgr is not None
    assert frame.small_bgr.shape == (320, 120, 3)


def test_controls_that_the_camera_does_not_have_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    with PicameraSource(
        config(picamera2={"autofocus": "continuous", "exposure_us": 5000}), threading.Event()
    ) as source:
        taken(source, 1)
    assert "no control AfMode" in caplog.text
    assert "ExposureTime" not in caplog.text


def test_a_stalled_sensor_is_started_again_in_place(caplog: pytest.LogCaptureFixture) -> None:
    with PicameraSource(config(picamera2={"timeout_s": 1.0}), threading.Event()) as source:
        taken(source, 3)
        pivirt.pacers[source._camera.camera.id].run_ = False  # the sensor falls silent
        assert len(taken(source, 3)) == 3
    assert "starting the sensor again" in caplog.text
    assert source.restarts >= 1


def test_a_sensor_that_stays_silent_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pivirt.Pacer, "run", lambda self: None)
    with (
        PicameraSource(config(picamera2={"timeout_s": 0.3}), threading.Event()) as source,
        pytest.raises(StalledError, match=r"no frame for 0\.3 s after 2 restarts"),
    ):
        source.read()


def test_stop_ends_a_read_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pivirt.Pacer, "run", lambda self: None)
    stop = threading.Event()
    with PicameraSource(config(picamera2={"timeout_s": 20.0}), stop) as source:
        threading.Timer(0.3, stop.set).start()
        assert source.read() is None


def test_a_camera_that_is_not_there() -> None:
    wanted = SourceConfig.model_validate({"kind": "picamera2", "picamera2": {"camera": 7}})
    with pytest.raises(CameraError, match=r"there is no camera 7 .*imx708_virtual"):
        PicameraSource(wanted, threading.Event())


def test_a_camera_that_somebody_holds() -> None:
    with PicameraSource(config(), threading.Event()), pytest.raises(CameraError, match="another program"):
        PicameraSource(config(), threading.Event())


def test_the_doctor_tells_a_camera_that_delivers_from_one_that_is_missing_or_held(tmp_path: Path) -> None:
    def examined(source: SourceConfig) -> list[Result]:
        rest = {"web": {"enabled": False}, "outbox": {"path": tmp_path}}
        return check_camera(Config.model_validate({"source": source, **rest}), Place(tmp_path))

    camera, picture = examined(config())
    assert (camera.state, picture.state) == ("ok", "ok"), (camera, picture)
    assert picture.finding.startswith("full 640x480 in colour, small 320x240 in grey; distances count with 62 degrees")
    missing, _ = examined(SourceConfig.model_validate({"kind": "picamera2", "picamera2": {"camera": 7}}))
    assert missing.state == "failure"
    assert "flat cable" in str(missing.remedy)
    with PicameraSource(config(), threading.Event()):
        held, _ = examined(config())
    assert "another program" in str(held.remedy)


def test_time_stamps_are_monotonic_seconds() -> None:
    assert sensor_time_s(None, 100.0) == 100.0
    assert sensor_time_s(99_900_000_000, 100.0) == pytest.approx(99.9)
    assert sensor_time_s(1, 1e6) == 1e6


def test_the_daemon_publishes_frames_of_the_camera() -> None:
    code = "import pivirt, sys; from edge_agender.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ["publish.idle_s=0", "web.enabled=false", "source.width_px=640", "source.height_px=480"]
    words = [sys.executable, "-c", code, "run", "--source", "picamera2", "--sink", "stdout"]
    words += [
        word for option in [*options, f"source.picamera2.camera={number('Virtual0')}"] for word in ("--set", option)
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    frames = []
    for line in process.stdout:
        topic, _, payload = line.partition(" ")
        if topic.endswith("/frame"):
            frames.append(json.loads(payload))
        if len(frames) == 10:
            break
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert [frame["sequence"] for frame in frames] == list(range(10))
    assert all(frame["audience"]["count"] == 0 for frame in frames)
