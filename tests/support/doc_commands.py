"""The commands of the documentation, and a folder in which they can be run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.support.broker import Broker
from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
SHELL = {"sh", "console"}
PASSWORD = "password"
# Folders of the system, for which the sandbox has its own.
PLACE = re.compile(r"(?<![\w/.])/(?:etc|opt|usr/local|var/lib)/")
PATH = re.compile(r"(?<![\w/.~:-])/[\w./-]+")
FOLDERS = (
    "etc/edge-agender",
    "etc/systemd/system",
    "etc/credstore",
    "opt/edge-agender/bin",
    "usr/local/bin",
    "var/lib",
)
SECRET = "etc/credstore/edge-agender.mqtt-password"


@dataclass(frozen=True)
class Command:
    page: str
    text: str


def commands() -> list[Command]:
    """Return every command of every fenced shell block, each once for its page, without prompts and comments."""
    found = {
        Command(str(page.relative_to(ROOT)), text): None
        for page in PAGES
        for language, block in FENCE.findall(page.read_text(encoding="utf-8"))
        if language in SHELL
        for text in lines(block)
    }
    return list(found)


def lines(block: str) -> list[str]:
    joined = block.replace("\\\n", " ").splitlines()
    stripped = (re.sub(r"\s+# .*$|^# .*$", "", line).removeprefix("$ ").strip() for line in joined)
    return [line for line in stripped if line]


class Sandbox:
    """A clone's files, a system of its own, programs that need no root, and a broker with users."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.system, self._all = folder / "clone", folder / "system", folder
        programs = folder / "programs"
        for path in (self.clone, programs):
            path.mkdir()
        _program(programs / "edge-agender", f"{sys.executable} -m edge_agender")
        _program(programs / "sudo", "")
        self._env = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "EDGE_AGENDER_CONFIG": str(self.system / "etc/edge-agender/config.yaml"),
        }
        self._bring_files()
        rules, passwords = ROOT / "docs/mosquitto.acl", folder / "broker/passwords"
        lines = ["allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}"]
        self.broker = Broker(folder / "broker", lines)
        for user in ("entrance", "dashboard"):
            self.broker.add_user(user, PASSWORD)

    def _bring_files(self) -> None:
        for name in ("config.yaml", "systemd", "packaging"):
            (self.clone / name).symlink_to(ROOT / name)
        _picture(self.clone / "photo.jpg")
        _video(self.clone / "holiday.mp4", self.clone / "photo.jpg")
        (self.clone / "visits.csv").write_text("entered,left,gender,age,looked\n0:00,0:02,f,25-34,yes\n")
        (self.clone / "labels.csv").write_text("path,age,gender\nphoto.jpg,30,female\n")
        face = '{"box": [240, 130, 160, 220], "ignore": false}'
        (self.clone / "labels.json").write_text(
            f'[{{"path": "photo.jpg", "width": 640, "height": 480, "faces": [{face}]}}]'
        )

    def prepare(self) -> None:
        """Make the system as the package leaves it, with the broker's password in its place."""
        shutil.rmtree(self.system, ignore_errors=True)
        for name in FOLDERS:
            (self.system / name).mkdir(parents=True)
        shutil.copy(ROOT / "config.yaml", self.system / "etc/edge-agender/config.yaml")
        (self.system / SECRET).write_text(PASSWORD + "\n")

    def run(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; folders of the system are the sandbox's, the broker is the test's."""
        return subprocess.run(
            ["bash", "-c", self._here(command)],
            cwd=self.clone,
            env=self._env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _here(self, command: str) -> str:
        text = PLACE.sub(lambda match: f"{self.system}{match[0]}", command)
        text = text.replace("-h broker.local", f"-h 127.0.0.1 -p {self.broker.port}")
        if text.startswith("mosquitto_sub"):
            text += " -C 1 -W 120"
        if "--broker" in text:
            mqtt = {"host": "127.0.0.1", "port": self.broker.port, "username": "entrance"}
            if "password_file" not in text:
                mqtt["password_file"] = f"{self.system}/{SECRET}"
            text += "".join(f" --set mqtt.{name}={value}" for name, value in mqtt.items())
        # A command that slipped through would be done to this machine.
        strange = [path for path in PATH.findall(text) if not path.startswith(f"{self._all}/")]
        assert not strange, f"{text} would touch {strange}"
        return text


def _program(path: Path, start: str) -> None:
    path.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
    path.chmod(0o755)


def _picture(path: Path) -> None:
    """Write a picture with a face of nobody."""
    atlas = cv2.imread(str(ROOT / "edge_agender/capture/sources/demo_faces.png"), cv2.IMREAD_COLOR)
    assert atlas is not None
    picture = np.full((480, 640, 3), 128, np.uint8)
    picture[120:360, 200:440] = cv2.resize(atlas[:128, 384:512], (240, 240))
    assert cv2.imwrite(str(path), picture)


def _video(path: Path, still: Path) -> None:
    """Write two seconds of a picture."""
    picture = cv2.imread(str(still), cv2.IMREAD_COLOR)
    assert picture is not None
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, picture.shape[1::-1])
    for _ in range(20):
        writer.write(picture)
    writer.release()
