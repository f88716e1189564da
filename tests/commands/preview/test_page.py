"""The preview's page in a real browser: pictures arrive, the table fills, at a phone's width too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.webdriver import CHROMIUM, DRIVER, MISSING, Browser, browser, eventually

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)


@pytest.fixture
def address() -> Iterator[str]:
    small = ["--set", "source.width_px=320", "--set", "source.height_px=240"]
    command = [sys.executable, "-m", "edge_agender", "preview", "demo", "--config", "/dev/null", "--port", "0", *small]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as preview:
        try:
            assert preview.stdout is not None
            yield next(word for word in preview.stdout.readline().split() if word.startswith("http"))
        finally:
            preview.terminate()


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path) as opened:
        yield opened


def test_it_shows_pictures_a_table_and_the_messages(window: Browser, address: str) -> None:
    window.size(360, 900)
    window.open(address)
    eventually(lambda: window.run("return document.getElementById('picture').naturalWidth") == 320)
    eventually(lambda: int(window.text("viewers").replace("–", "0")) >= 1)
    assert "25-34" in window.text("cells")
    eventually(lambda: '"schema": "edge-agender.frame"' in window.text("events"))
    eventually(lambda: "years" in window.text("faces"))
    assert window.run("return document.documentElement.scrollWidth") <= 360
    assert window.console() == []
