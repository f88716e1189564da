"""Nodes of V4L2 as their drivers describe themselves; the ioctl is answered here, as no machine has all of these."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from pathlib import Path

import pytest

from edge_agender.capture.sources import nodes, open_source
from edge_agender.config.settings import OpencvConfig, SourceConfig
from edge_agender.errors import CameraError

# Driver, card, device capabilities: what a Pi 4 and a webcam answer.
WEBCAM = ("uvcvideo", "HD Webcam: HD Webcam", 0x04200001)
WEBCAM_METADATA = ("uvcvideo", "HD Webcam: HD Webcam", 0x04A00000)
DECODER = ("bcm2835-codec", "bcm2835-codec-decode", 0x04204000)
SENSOR = ("unicam", "unicam", 0x05200001)
ISP = ("bcm2835-isp", "bcm2835-isp-capture0", 0x05200001)
LOOPBACK = ("v4l2 loopback", "Dummy", 0x05208003)


def packed(driver: str, card: str, device_caps: int) -> bytes:
    whole_device = 0x85A00001 | 0x04000000
    return struct.pack(
        "=16s32s32s6I", driver.encode(), card.encode(), b"bus", 0x60600, whole_device, device_caps, 0, 0, 0
    )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str, int]]:
    """What is under /dev and what it answers, by the node's name; fill it before anything is asked."""
    found: dict[str, tuple[str, str, int]] = {}
    opened: dict[int, str] = {}

    def fake_open(path: Path, *_: int) -> int:
        descriptor = os.memfd_create("node")
        opened[descriptor] = Path(path).name
        return descriptor

    def fake_ioctl(descriptor: int, request: int, answer: bytearray) -> None:
        assert request == (2 << 30) | (len(answer) << 16) | (ord("V") << 8)  # _IOR('V', 0, struct v4l2_capability)
        answer[:] = packed(*found[opened[descriptor]])

    monkeypatch.setattr(nodes, "_SYSFS", tmp_path)
    monkeypatch.setattr(nodes, "is_video", lambda device: Path(device).name in found)
    monkeypatch.setattr(os, "open", fake_open)
    monkeypatch.setattr(fcntl, "ioctl", fake_ioctl)
    return found


def plug(machine: dict[str, tuple[str, str, int]], folder: Path, **named: tuple[str, str, int]) -> None:
    for name, node in named.items():
        machine[name] = node
        (folder / name).mkdir()


def test_a_codec_is_told_from_a_camera_and_the_cameras_are_named(
    machine: dict[str, tuple[str, str, int]], tmp_path: Path
) -> None:
    plug(machine, tmp_path, video10=DECODER, video2=WEBCAM, video3=WEBCAM_METADATA, video0=SENSOR, video13=ISP)
    assert nodes.objection(Path("/dev/video10")) == (
        "bcm2835-codec-decode (bcm2835-codec) takes no pictures: choose /dev/video2 (HD Webcam HD Webcam), "
        "or picamera2 as source.kind for the Pi's own camera"
    )
    assert str(nodes.objection(Path("/dev/video3"))).startswith("HD Webcam HD Webcam (uvcvideo) takes no pictures")
    assert nodes.objection(Path("/dev/video2")) is None
    plug(machine, tmp_path, video4=LOOPBACK)
    assert nodes.objection(Path("/dev/video4")) is None
    # Frames of another kind of device come through these too, such as HDMI into the camera's socket.
    assert nodes.objection(Path("/dev/video0")) is None
    assert nodes.belongs_to_the_pi(Path("/dev/video0"))
    assert not nodes.belongs_to_the_pi(Path("/dev/video2"))


def test_without_any_camera_it_says_what_would_be_one(machine: dict[str, tuple[str, str, int]], tmp_path: Path) -> None:
    plug(machine, tmp_path, video10=DECODER)
    assert str(nodes.objection(Path("/dev/video10"))).endswith(
        "choose the node of a USB camera, or picamera2 as source.kind for the Pi's own camera"
    )


def test_what_no_driver_answers_for_is_tried() -> None:
    assert nodes.ask(Path("/dev/null")) is None  # no V4L2: the ioctl fails
    assert nodes.ask(Path("/dev/no-such-node")) is None


@pytest.mark.parametrize("path", ["/dev/null", "/dev", __file__, "/dev/no-such-node"])
def test_only_nodes_of_v4l2_are_ever_opened(path: str) -> None:
    assert not nodes.is_video(Path(path))


def test_a_file_under_dev_is_refused_before_opencv_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.VideoCapture", lambda *_: pytest.fail("it was opened"))
    wanted = SourceConfig(kind="opencv", opencv=OpencvConfig(uri="/dev/zero"))
    with pytest.raises(CameraError, match="/dev/zero: no camera, nor any video device: choose "):
        open_source(wanted, threading.Event())
