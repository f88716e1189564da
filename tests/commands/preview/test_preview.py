"""The preview as it is used: a film of the demo, a page in loopback's hands, and what it says when it cannot."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender.cli import main
from tests.support.paths import ROOT

SMALL = ["--set", "source.width_px=320", "--set", "source.height_px=240"]


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_AGENDER_CONFIG", "/dev/null")


def test_a_film_of_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "film.mp4"
    assert main(["preview", "demo", "--out", str(out), *SMALL, "--set", "source.demo.duration_s=4"]) == 0
    film = cv2.VideoCapture(str(out))
    assert (film.get(cv2.CAP_PROP_FRAME_COUNT), film.get(cv2.CAP_PROP_FPS)) == (60, pytest.approx(15, abs=0.5))
    assert re.search(r"\d viewers?: \d female, \d male", capsys.readouterr().out)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_a_film_of_no_video_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all\n" * 100)
    assert main(["preview", str(text), "--out", str(tmp_path / "film.mp4")]) == 65
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.mp4"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".film.mp4.part").symlink_to("/dev/full")
    arguments = ["preview", "demo", "--out", str(tmp_path / "film.mp4"), *SMALL, "--set", "source.demo.duration_s=2"]
    assert main(arguments) == 65
    assert "No space left" in (said := capsys.readouterr().err)
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "demo", "--out", str(tmp_path / "none/film.mp4")]) == 65
    assert "No such file" in (said := capsys.readouterr().err)
    assert said.count("\n") == 1


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["preview", "demo", "--port", str(taken.getsockname()[1])]) == 64
    assert "give another --port" in (said := capsys.readouterr().err)
    assert said.count("\n") == 1


def test_a_folder_without_anything_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", str(tmp_path)]) == 65
    assert "neither videos nor pictures" in capsys.readouterr().err


def test_the_page_shows_pictures_and_figures_to_its_address_alone() -> None:
    command = [sys.executable, "-m", "edge_agender", "preview", "demo", "--port", "0", *SMALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as preview:
        try:
            assert preview.stdout is not None
            address = next(word for word in preview.stdout.readline().split() if word.startswith("http"))
            with urllib.request.urlopen(f"{address}pictures", timeout=60) as pictures:
                assert pictures.readline() == b"--picture\r\n"
                lengths = [
                    line for line in (pictures.readline() for _ in range(3)) if line.startswith(b"Content-Length")
                ]
                jpeg = pictures.read(int(lengths[0].split(b":")[1]))
                assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (240, 320, 3)
                with urllib.request.urlopen(f"{address}state", timeout=60) as state:
                    assert json.load(state)["name"] == "demo"
            host = address.split("/")[2]
            for path, name in ((f"http://{host}/", host), (address, "evil.example")):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(urllib.request.Request(path, headers={"Host": name}), timeout=60)
        finally:
            preview.terminate()
