"""Screenshots of the status page, of the running demo behind a real broker: python -m docs_tools.screenshots

There is no picture on the page, so there is none in its screenshots.
"""

from __future__ import annotations

import argparse
import socket
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from edge_agender.common.output import run_script
from tests.support.broker import Broker, free_port, running, wait_until
from tests.support.webdriver import CHROMIUM, DRIVER, MISSING, Browser, browser, eventually

ROOT = Path(__file__).parents[1]
WINDOW_S = 10
WINDOWS = 15
# Enough people a minute, and a table soon, so that the default privacy publishes cells while one waits.
PEOPLE, PERIOD_S = 12, 20
# A small laptop, and a phone that is narrow.
LAPTOP, PHONE = (1180, 900), (360, 860)


@contextmanager
def demo(folder: Path) -> Iterator[int]:
    """Run the daemon on the demo's faces behind a broker; yield the port of its page."""
    port = free_port()
    with running(Broker(folder / "broker")) as broker:
        options = {
            "device.name": "entrance",
            "source.kind": "demo",
            "source.demo.people": PEOPLE,
            "window.length_s": WINDOW_S,
            "demographics.period_s": PERIOD_S,
            "mqtt.port": broker.port,
            "web.port": port,
            "outbox.path": folder / "outbox",
        }
        words = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
        command = [sys.executable, "-m", "edge_agender", "run", "--config", "/dev/null", *words]
        daemon = subprocess.Popen(command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)})
        try:
            wait_until(lambda: listens(port), what="the status page")
            yield port
        finally:
            daemon.terminate()
            daemon.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def show(window: Browser, port: int, view: str, size: tuple[int, int]) -> None:
    window.size(*size)
    window.dark(False)
    window.open("about:blank")
    window.open(f"http://127.0.0.1:{port}/{view}")


def bars(window: Browser) -> int:
    return int(window.run("return document.querySelectorAll('#chart-viewers rect').length"))


def take_status(window: Browser, port: int, windows: int = WINDOWS) -> bytes:
    """Wait until there is something to see in the charts, then take the picture."""
    show(window, port, "", LAPTOP)
    eventually(lambda: bars(window) >= windows, timeout_s=WINDOW_S * (windows + 10))
    return window.screenshot()


def take_aim(window: Browser, port: int) -> bytes:
    """Take the aim view when a few people are in view."""
    show(window, port, "#aim", PHONE)
    faces = "return +(document.getElementById('canvas').dataset.faces ?? 0)"
    eventually(lambda: window.run(faces) >= min(PEOPLE, 3), timeout_s=60)
    return window.screenshot()


def small(png: bytes) -> bytes:
    """Return the picture as a PNG with a palette, its shades rounded where it has more than 256 of them."""
    rgb = cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    for step in (1, 4, 8, 16, 32):
        rounded = np.minimum((rgb.astype(np.uint16) + step // 2) // step * step, 255).astype(np.uint8)
        palette, indices = np.unique(rounded.reshape(-1, 3), axis=0, return_inverse=True)
        if len(palette) <= 256:
            break
    height, width = rgb.shape[:2]
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = indices.reshape(height, width)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, *zip(*parts, strict=True)))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--windows", type=int, default=WINDOWS, help=f"of {WINDOW_S} s to wait for")
    options = parser.parse_args()
    if not (CHROMIUM and DRIVER):
        sys.exit(MISSING)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as port, browser(Path(folder)) as window:
        for name, picture in (("aim", take_aim(window, port)), ("status", take_status(window, port, options.windows))):
            path = options.out / f"{name}.png"
            path.write_bytes(small(picture))
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    run_script(main)
