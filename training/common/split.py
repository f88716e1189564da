"""Which pictures train, calibrate or judge: decided by the name alone, so it never changes by accident."""

from __future__ import annotations

import zlib
from typing import Literal

Part = Literal["training", "calibration", "held_out"]


def part(path: str) -> Part:
    """Return a picture's part by the CRC-32 of its file name: a tenth is held out, a twentieth calibrates."""
    number = zlib.crc32(path.rsplit("/", 1)[-1].encode())
    return "held_out" if number % 10 == 0 else "calibration" if number % 20 == 1 else "training"


def held_out(path: str) -> bool:
    """Return whether a picture is held out of everything but the last judgement."""
    return part(path) == "held_out"
