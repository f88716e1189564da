from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_agender.device import gpio
from edge_agender.errors import ConfigError

HEADER = Path("/usr/include/linux/gpio.h")

C_SOURCE = """
#include <linux/gpio.h>
#include <stddef.h>
#include <stdio.h>
int main(void) {
    printf("%zu %zu %lu %lu ", sizeof(struct gpio_v2_line_request), sizeof(struct gpio_v2_line_values),
           (unsigned long)GPIO_V2_GET_LINE_IOCTL, (unsigned long)GPIO_V2_LINE_GET_VALUES_IOCTL);
    printf("%zu %zu %zu %zu ", offsetof(struct gpio_v2_line_request, consumer),
           offsetof(struct gpio_v2_line_request, config), offsetof(struct gpio_v2_line_request, num_lines),
           offsetof(struct gpio_v2_line_request, fd));
    printf("%llu", (unsigned long long)(GPIO_V2_LINE_FLAG_ACTIVE_LOW | GPIO_V2_LINE_FLAG_INPUT
           | GPIO_V2_LINE_FLAG_BIAS_PULL_UP));
}
"""


@pytest.mark.skipif(not shutil.which("gcc") or not HEADER.exists(), reason="needs gcc and the kernel's headers")
def test_numbers_and_layout_are_the_kernels(tmp_path: Path) -> None:
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    source.write_text(C_SOURCE)
    subprocess.run(["gcc", "-o", program, source], check=True)
    said = [int(word) for word in subprocess.run([program], capture_output=True, text=True).stdout.split()]
    marked = gpio.REQUEST.pack(*[0] * 64, b"c", 2, 0, 3, 0, 4)
    offsets = [marked.index(b"c"), marked.index(b"\2"), marked.index(b"\3"), marked.index(b"\4")]
    assert said == [gpio.REQUEST.size, gpio.VALUES.size, gpio.GET_LINE, gpio.GET_VALUES, *offsets, 2 + 4 + 256]


class Chip:
    """What the kernel does with the two calls; the switch is closed or open, or the chip is gone."""

    def __init__(self) -> None:
        self.closed: bool | None = False
        self.line: int | None = None

    def ioctl(self, fd: int, number: int, data: bytearray) -> int:
        if self.closed is None:
            raise OSError(19, "No such device")
        if number == gpio.GET_LINE:
            fields = list(gpio.REQUEST.unpack(data))
            self.line, fields[-1] = fields[0], os.open("/dev/null", os.O_RDONLY)
            data[:] = gpio.REQUEST.pack(*fields)
        else:
            data[:] = gpio.VALUES.pack(int(self.closed), 1)
        return 0


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    made = Chip()
    monkeypatch.setattr(fcntl, "ioctl", made.ioctl)
    return made


def test_a_pin_follows_its_switch(chip: Chip) -> None:
    with gpio.Pin(Path("/dev/null"), 17) as pin:
        assert chip.line == 17
        assert not pin.closed_to_ground()
        chip.closed = True
        assert pin.closed_to_ground()


def test_in_doubt_it_is_off(chip: Chip) -> None:
    with gpio.Pin(Path("/dev/null"), 17) as pin:
        chip.closed = None
        assert pin.closed_to_ground()


def test_a_missing_chip_or_line_says_what_to_correct(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="off_pin_chip"):
        gpio.Pin(tmp_path / "gpiochip9", 17)
    with pytest.raises(ConfigError, match=r"line 17: .* correct schedule\.off_pin"):
        gpio.Pin(Path("/dev/null"), 17)
