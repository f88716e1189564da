"""The daemon over signals, reloads, missing cameras, other daemons and crashes: real processes, a real Mosquitto."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publish
import pytest

from tests.support.broker import Broker, Ear, free_port, needs_mosquitto, running, wait_until
from tests.support.daemon import DEMO, daemon, payloads, refused, states
from tests.support.paths import ROOT

pytestmark = needs_mosquitto
PEOPLE = 12
CROWD = (f"source.demo.people={PEOPLE}", "source.demo.stay=true", "window.length_s=86400")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running(Broker(tmp_path / "broker")) as broker:
        yield broker


def count(ear: Ear) -> int:
    """How many the latest frame shows."""
    return [frame["audience"]["count"] for frame in payloads(ear, "frame")][-1:] == [PEOPLE]  # type: ignore[index]


def saved(state: Path) -> dict[str, Any]:
    return json.loads((state / "windows.json").read_text())


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "edge_agender", *words],
        capture_output=True, text=True, check=False, timeout=600, cwd=ROOT, env=os.environ | environment,
    )  # fmt: skip


def options(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def test_ten_sighups_leave_everybody_one_visitor(broker: Broker, tmp_path: Path) -> None:
    path, state = tmp_path / "config.yaml", tmp_path / "s"
    path.write_text("publish: {idle_s: 0.2}\n")
    words = ("--config", str(path))
    with Ear(broker.port, "edge-agender/#") as ear, daemon(state, broker.port, *CROWD, arguments=words) as box:
        wait_until(lambda: count(ear), what="everybody is seen")
        for number in range(1, 11):
            box.send(signal.SIGHUP)
            wait_until(lambda number=number: box.log().count("has not changed") == number)
        for number in range(1, 4):  # and three that change something
            path.write_text(f"publish: {{idle_s: 0.2}}\naudience: {{age_bands: [{20 + number}]}}\n")
            box.send(signal.SIGHUP)
            wait_until(lambda number=number: box.log().count("is in force") == number)
        for _ in range(100):
            box.send(signal.SIGHUP)
        box.send(signal.SIGTERM)
        assert box.wait() == 0
        assert "Traceback" not in box.log()
    windows = [tally for _, tally in saved(state)["audience"]["windows"]["open"]]
    assert [(window["viewers"], window["passes"]) for window in windows] == [(PEOPLE, PEOPLE)]


REFUSED_FILES = {
    "an integer of 6,000 digits": b"web: {port: 0x" + b"f" * 6000 + b"}\n",
    "the same in decimal": b"web: {port: " + b"9" * 6000 + b"}\n",
    "a float of an integer": b"tracking: {max_gap_s: " + b"9" * 6000 + b"}\n",
    "a seed below zero": b"source: {kind: demo, demo: {seed: -1}}\n",
    "a seed beyond all": b"source: {kind: demo, demo: {seed: 99999999999999999999}}\n",
    "a wait beyond all": b"source: {kind: demo, rate_hz: 1.0e-300}\n",
    "no text": b"\xff\xfe\x00",
    "too deep": b"a: " + b"[" * 100_000,
    "a date": b"log: {level: 2026-13-45}\n",
    "empty keys": b"? {}\n",
    "a model that is not there": b"estimator: {model: none}\n",
    "a video that is not there": b"source: {kind: opencv, opencv: {uri: /none.mp4}}\n",
    "another broker": b"mqtt: {keepalive_s: 77}\n",
}


def test_whatever_the_new_file_holds_the_old_configuration_goes_on(broker: Broker, tmp_path: Path) -> None:
    path, state = tmp_path / "config.yaml", tmp_path / "s"
    path.write_text("source: {kind: demo}\n")
    words = ("--config", str(path))
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(state, broker.port, "publish.health_s=1", arguments=words, source=()) as box,
    ):
        wait_until(lambda: payloads(ear, "frame"))
        for number, (name, content) in enumerate(REFUSED_FILES.items()):
            path.write_bytes(content)
            refused_before, frames = box.log().count("is refused"), len(payloads(ear, "frame"))
            box.send(signal.SIGHUP)
            wait_until(lambda before=refused_before: box.log().count("is refused") > before or not box.lives, what=name)
            assert box.lives, f"{name}: {box.log()[-2000:]}"
            wait_until(lambda frames=frames: len(payloads(ear, "frame")) > frames, what=f"frames after {name}")
            assert box.log().count("is refused") == refused_before + 1, f"{name}, {number}: more than one line"
        for make in (os.mkfifo, os.mkdir):
            path.unlink()
            make(path)
            before = box.log().count("not a file")
            box.send(signal.SIGHUP)
            wait_until(lambda before=before: box.log().count("not a file") > before, what=str(make))
            if make is os.mkdir:
                path.rmdir()
        wait_until(lambda: refused(ear))
        path.write_text("source: {kind: demo}\n")
        box.send(signal.SIGHUP)
        wait_until(lambda: not refused(ear))
        assert "Traceback" not in box.log()


def healthz(port: int) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_without_its_camera_the_daemon_runs_says_so_and_takes_another(broker: Broker, tmp_path: Path) -> None:
    path, port = tmp_path / "config.yaml", free_port()
    missing = "source: {kind: opencv, opencv: {uri: /dev/video99}}\n"
    path.write_text(missing)
    settings = ("publish.health_s=1", "web.enabled=true", f"web.port={port}")
    words = ("--config", str(path))
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(tmp_path / "s", broker.port, *settings, arguments=words, source=()) as box,
    ):
        wait_until(lambda: payloads(ear, "health"), what="health without a camera")
        assert payloads(ear, "health")[-1]["source"] == "missing"
        assert "no such camera" in str(payloads(ear, "health")[-1]["alarms"])
        assert payloads(ear, "status")[-1]["source"] == "missing"
        status, said = healthz(port)
        assert (status, said["status"]) == (503, "failing")
        path.write_text("source: {kind: demo}\n")
        box.send(signal.SIGHUP)
        wait_until(lambda: payloads(ear, "frame"), what="frames of another source")
        wait_until(lambda: payloads(ear, "status")[-1]["source"] == "ok")
        wait_until(lambda: healthz(port)[0] == 200)
        box.send(signal.SIGTERM)
        assert box.wait() == 0


def test_switched_off_the_last_frame_shows_nobody(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port, *CROWD) as box:
        wait_until(lambda: count(ear), what="everybody is seen")
        publish.single("edge-agender/box/enabled/set", "OFF", 1, retain=True, hostname="127.0.0.1", port=broker.port)
        wait_until(lambda: payloads(ear, "status")[-1]["source"] == "off")
        wait_until(lambda: payloads(ear, "frame")[-1]["audience"]["count"] == 0)  # type: ignore[index]
        assert payloads(ear, "enabled")[-1]["measuring"] is False
        assert box.lives


CRASHES = (
    "from edge_agender.daemon import engine; from edge_agender.cli import main; step = engine.Engine.step\n"
    "def crash(self):\n"
    "    if self.pipeline.work.frames > 3: raise RuntimeError('a fault of ours')\n"
    "    return step(self)\n"
    "engine.Engine.step = crash; raise SystemExit(main())"
)


def test_a_crash_is_offline_and_never_stopped(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port, code=CRASHES) as box:
        assert box.wait() == 1
        wait_until(lambda: states(ear)[-1:] == ["offline"])
        assert "stopped" not in states(ear)


def test_a_second_daemon_on_one_state_folder_says_so_and_ends(broker: Broker, tmp_path: Path) -> None:
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(tmp_path / "s", broker.port) as box,
        Ear(broker.port, "edge-agender/#", name="late"),
    ):
        wait_until(lambda: payloads(ear, "frame"))
        with daemon(tmp_path / "s", broker.port, "device.name=other") as other:
            assert other.wait() == 75
            assert "another edge-agender works with this folder" in other.log()
            assert other.log().count("\n") == 1
        assert box.lives
        box.send(signal.SIGTERM)
        assert box.wait() == 0
    assert not [message for message in ear.heard if "/other/" in message.topic]


def test_a_try_out_neither_reads_nor_changes_what_the_service_keeps(broker: Broker, tmp_path: Path) -> None:
    state = tmp_path / "s"
    with Ear(broker.port, "edge-agender/#") as ear, daemon(state, broker.port, *CROWD) as box:
        wait_until(lambda: count(ear), what="everybody is seen")
        publish.single("edge-agender/box/enabled/set", "OFF", 1, hostname="127.0.0.1", port=broker.port)
        wait_until(lambda: payloads(ear, "enabled")[-1]["measuring"] is False)
        box.send(signal.SIGTERM)
        assert box.wait() == 0
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    assert {"windows.json", "enabled.json"} <= set(before)
    settings = options(*DEMO, f"outbox.path={state}", "schedule.off_file=null", "source.demo.duration_s=2")
    done = command("run", "--sink", "stdout", "--until-end", *settings)
    assert done.returncode == 0
    windows = [json.loads(line.split(" ", 1)[1]) for line in done.stdout.splitlines() if "/window " in line]
    assert [(window["viewers"], window["number"]) for window in windows] == [(windows[0]["viewers"], 0)]
    assert windows[0]["viewers"] < PEOPLE
    assert "/frame " in done.stdout, "it was switched off with the service"
    assert {path.name: path.read_bytes() for path in state.iterdir()} == before


@pytest.mark.slow
def test_a_recording_ends_with_its_last_window_and_a_summary(tmp_path: Path) -> None:
    settings = options(*DEMO, *CROWD, "source.demo.pace=false", "source.demo.duration_s=3", "schedule.off_file=null")
    done = command("run", "--sink", "stdout", "--until-end", *settings)
    assert done.returncode == 0
    (window,) = (json.loads(line.split(" ", 1)[1]) for line in done.stdout.splitlines() if "/window " in line)
    assert (window["viewers"], window["opportunities_to_see"]) == (PEOPLE, PEOPLE)
    assert f"1 windows: {PEOPLE} passed by, {PEOPLE} viewers" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("verb", [pytest.param("selftest", marks=pytest.mark.slow), "predict", "check"])
def test_no_other_verb_leaves_anything_in_the_state_folder(verb: str, tmp_path: Path) -> None:
    words = {"predict": [str(ROOT / "docs/images")], "check": options(*DEMO), "selftest": []}[verb]
    done = command(verb, *words, STATE_DIRECTORY=str(tmp_path), HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
