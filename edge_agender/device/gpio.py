"""One GPIO line as a switch, through the kernel's character device (linux/gpio.h, interface 2): no library needed."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_agender.errors import ConfigError

# struct gpio_v2_line_request: offsets[64], consumer[32], config (flags, num_attrs, padding[5], attrs[10]: 240 bytes),
# num_lines, event_buffer_size, padding[5], fd. struct gpio_v2_line_values: bits, mask.
REQUEST = struct.Struct("=64I 32s Q I 20x 240x I I 20x i")
VALUES = struct.Struct("=QQ")
GET_LINE = 0xC250B407
GET_VALUES = 0xC010B40E
_ACTIVE_LOW, _INPUT, _PULL_UP = 1 << 1, 1 << 2, 1 << 8


class Pin:
    """An input with a pull-up, to be connected to ground by a switch or a key. A context manager."""

    def __init__(self, chip: Path, line: int) -> None:
        """Raises ConfigError where there is no such line, or it is taken or forbidden."""
        try:
            chip_fd = os.open(chip, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(
                f"{chip}: {error.strerror}: correct schedule.off_pin_chip, or set off_pin: null"
            ) from None
        request = bytearray(REQUEST.pack(line, *[0] * 63, b"edge-agender", _ACTIVE_LOW | _INPUT | _PULL_UP, 0, 1, 0, 0))
        try:
            fcntl.ioctl(chip_fd, GET_LINE, request)
        except OSError as error:
            raise ConfigError(f"{chip}, line {line}: {error.strerror}: correct schedule.off_pin") from None
        finally:
            os.close(chip_fd)
        self._fd: int = REQUEST.unpack(request)[-1]

    def closed_to_ground(self) -> bool:
        """True while the switch is closed; also where the line can no longer be read: when in doubt, off."""
        values = bytearray(VALUES.pack(0, 1))
        try:
            fcntl.ioctl(self._fd, GET_VALUES, values)
        except OSError:
            return True
        return bool(VALUES.unpack(values)[0] & 1)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
