"""What a /dev/video* node is: a Pi has twenty, most of them codecs and parts of its own camera."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The kernel's include/uapi/linux/videodev2.h and major.h.
_VIDEO_MAJOR = 81
_QUERYCAP = 0x80685600
_CAPABILITY = struct.Struct("=16s32s32s6I")
_CAPTURES, _CAPTURES_PLANES = 0x1, 0x1000
# Of a Pi's own camera: these nodes can capture, but picamera2 has to drive them.
_PI_DRIVERS = ("unicam", "rp1-cfe", "bcm2835-isp", "pispbe")
_MOST_NAMED = 4
_SYSFS = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class Node:
    """What a V4L2 driver says of one of its nodes."""

    name: str
    driver: str
    captures: bool

    @property
    def of_the_pi(self) -> bool:
        return self.driver.startswith(_PI_DRIVERS)


def is_video(device: Path) -> bool:
    """Return whether that is a V4L2 node; tells without opening it, which does things to some devices."""
    try:
        status = device.stat()
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == _VIDEO_MAJOR


def ask(device: Path) -> Node | None:
    """Return what the driver says of a V4L2 node; None where this user may not ask."""
    answer = bytearray(_CAPABILITY.size)
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.ioctl(descriptor, _QUERYCAP, answer)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    driver, card, _, _, _, can, *_ = _CAPABILITY.unpack(answer)
    # A codec has a bit of its own instead, which rules nothing out: some virtual cameras set it beside this one.
    return Node(_text(card), _text(driver), bool(can & (_CAPTURES | _CAPTURES_PLANES)))


def objection(device: Path) -> str | None:
    """Return why nothing that exists there can be a camera, and what to do; None where it may be one."""
    if not is_video(device):
        return f"no camera, nor any video device: {choice()}"
    node = ask(device)
    if node is None or node.captures:
        return None
    return f"{node.name} ({node.driver}) takes no pictures: {choice()}"


def belongs_to_the_pi(device: Path) -> bool:
    """Return whether it is a part of the Pi's own camera."""
    node = ask(device) if is_video(device) else None
    return node is not None and node.of_the_pi


def choice() -> str:
    """Return what to use instead."""
    named = [f"{device} ({node.name})" for device, node in _cameras()][:_MOST_NAMED]
    usb = " or ".join(named) or "the node of a USB camera"
    return f"choose {usb}, or picamera2 as source.kind for the Pi's own camera"


def _cameras() -> Iterator[tuple[Path, Node]]:
    with contextlib.suppress(OSError):
        for entry in sorted(_SYSFS.iterdir(), key=lambda entry: (len(entry.name), entry.name)):
            device = Path("/dev", entry.name)
            node = ask(device) if is_video(device) else None
            if node is not None and node.captures and not node.of_the_pi:
                yield device, node


def _text(raw: bytes) -> str:
    # Cameras are called "Integrated Camera: Integrated C"; a colon and a space would end the finding of a remedy.
    return " ".join(raw.split(b"\0")[0].decode(errors="replace").replace(": ", " ").split())
