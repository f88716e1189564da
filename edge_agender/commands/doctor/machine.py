"""Board, operating system, Python, power and heat."""

from __future__ import annotations

import platform
import sys

import cv2
import numpy as np

from edge_agender import __version__
from edge_agender.commands.doctor.result import Result
from edge_agender.device import board
from edge_agender.device.installation import Place

_TESTED = ("bookworm", "trixie")
_ARCHITECTURES = ("aarch64", "x86_64")
# From 80 °C on, a Raspberry Pi slows itself down.
HOT_C = 80.0
WARM_C = 75.0
_SUPPLY = (
    "Use the Raspberry Pi's own power supply and a short, thick cable, and unplug what else draws from its USB ports."
)
_IMAGER = "Write the 64-bit Raspberry Pi OS (bookworm or trixie) onto the card with Raspberry Pi Imager."


def check_machine(place: Place) -> list[Result]:
    known = board.identify(place.root)
    return [
        check_board(known),
        check_system(known),
        check_bits(known.architecture, known.userland_bits),
        check_python(),
        check_power(place),
        check_heat(place),
    ]


def check_board(known: board.Board) -> Result:
    cpus = f"{known.cpus} processor{'s' if known.cpus != 1 else ''}"
    name = known.model or "a board without a name"
    note = "" if "Raspberry Pi" in name else ": not a Raspberry Pi, so its own checks are skipped"
    return Result("board", "ok", f"{name}, {cpus}{note}")


def check_system(known: board.Board) -> Result:
    finding = f"{known.os or 'an unknown system'}, kernel {known.kernel}"
    if any(name in (known.os or "") for name in _TESTED):
        return Result("system", "ok", finding)
    return Result("system", "warning", f"{finding}: edge-agender was not tested on it", _IMAGER)


def check_bits(architecture: str, userland_bits: int) -> Result:
    finding = f"{userland_bits}-bit programs on {architecture}"
    if userland_bits == 64 and architecture in _ARCHITECTURES:
        return Result("64-bit", "ok", finding)
    return Result("64-bit", "failure", finding, _IMAGER)


def check_python(version: tuple[int, int] = sys.version_info[:2], numpy: str = np.__version__) -> Result:
    finding = f"Python {platform.python_version()}, edge-agender {__version__}, NumPy {numpy}, OpenCV {cv2.__version__}"
    if version < (3, 12) and not numpy.startswith("1."):
        remedy = "Install NumPy below 2 again (docs/install.md), because bookworm's camera packages need it."
        return Result("python", "warning", finding, remedy)
    return Result("python", "ok", finding)


def check_power(place: Place) -> Result:
    told = board.throttling(place.root)
    if told is None:
        return Result("power", "skipped", "only a Raspberry Pi tells whether its power is too weak")
    if told.now.under_voltage:
        return Result("power", "failure", "the voltage is too low at this moment", _SUPPLY)
    if told.since_boot.under_voltage:
        return Result("power", "warning", "the voltage was too low since the last start", _SUPPLY)
    if told.now.any or told.since_boot.any:
        when = "is slowed down at this moment" if told.now.any else "was slowed down since the last start"
        remedy = "Give it air or a heat sink, and keep it away from the screen's warm back."
        return Result("power", "warning", f"the voltage is good, but the processor {when} by heat", remedy)
    return Result("power", "ok", "never too little since the last start, and not slowed down")


def check_heat(place: Place) -> Result:
    celsius = board.temperature_c(place.root)
    if celsius is None:
        return Result("temperature", "skipped", "this machine does not tell its temperature")
    finding = f"{celsius:.0f} °C"
    if celsius < WARM_C:
        return Result("temperature", "ok", finding)
    remedy = f"Give it air or a heat sink: from {HOT_C:.0f} °C on, it slows itself down."
    return Result("temperature", "warning", finding, remedy)
