"""The doctor as a whole: as a command, as JSON, and when a check itself goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_agender.commands.doctor import checks as doctor
from edge_agender.commands.doctor import report
from edge_agender.commands.doctor.checks import Result, failed, limited, run
from edge_agender.errors import CameraError
from tests.support.broker import Broker, free_port, needs_mosquitto, running
from tests.support.paths import ROOT

COMMAND = [sys.executable, "-m", "edge_agender", "doctor", "--source", "demo"]
QUIET = ["--set", "web.enabled=false", "--set", "source.rate_hz=60"]
NAMES = [
    "board", "system", "64-bit", "python", "power", "temperature", "clock", "configuration", "disk", "file system",
    "card", "models", "runtime", "camera", "picture", "broker", "tls", "credentials", "commands", "publish",
    "isolation", "service", "sandbox",
]  # fmt: skip


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *QUIET, *words], capture_output=True, text=True, timeout=120)


@needs_mosquitto
def test_warnings_are_no_failure(tmp_path: Path) -> None:
    """On the demo, with a broker that lets everybody do everything."""
    with running(Broker(tmp_path)) as broker:
        done = command("--json", "--set", f"mqtt.port={broker.port}")
    results = {each["check"]: each for each in json.loads(done.stdout)}
    assert list(results) == NAMES
    assert all(list(each) == ["check", "state", "finding", "remedy"] for each in results.values())
    assert (results["camera"]["state"], results["models"]["state"]) == ("ok", "ok")
    assert results["isolation"]["state"] == "warning"
    assert {name for name, each in results.items() if each["state"] == "failure"} <= {"power", "disk", "card"}
    assert done.stderr == ""


def test_a_failure_is_exit_code_1_and_says_what_to_do() -> None:
    done = command("--set", f"mqtt.port={free_port()}")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("failure  broker"))
    assert lines[place + 1].strip() == "-> Start the broker, or correct mqtt.host and mqtt.port."
    assert "failure" in lines[-1]
    assert "\033" not in done.stdout
    assert done.stderr == ""


def test_a_configuration_that_cannot_be_used_leaves_the_rest_to_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mqtt: {hots: x, password: planted-s3cret}\n")
    results = {result.check: result for result in run(path)}
    assert results["configuration"].state == "failure"
    assert "did you mean hosts?" in results["configuration"].finding
    assert "planted-s3cret" not in repr(results)
    assert {"board", "clock", "service"} <= set(results)
    assert "camera" not in results
    missing = next(result for result in run(tmp_path / "none.yaml") if result.check == "configuration")
    assert missing.state == "failure"
    assert "--config" in str(missing.remedy)


def test_nothing_raises_and_nothing_waits_for_ever() -> None:
    def broken() -> list[Result]:
        raise ValueError("planted-s3cret")

    def missing() -> list[Result]:
        raise CameraError("camera 0: not there: plug it in")

    (bug,) = limited("camera", broken)
    assert (bug.check, bug.state) == ("camera", "failure")
    assert "ValueError in test_doctor.py, line" in bug.finding
    assert "planted-s3cret" not in repr(bug)
    assert limited("camera", missing) == [Result("camera", "failure", "camera 0: not there", "Plug it in.")]
    never = threading.Event()
    (late,) = limited("camera", lambda: [Result("camera", "ok", str(never.wait()))], limit_s=0.1)
    never.set()
    assert (late.state, late.finding) == ("failure", "no answer within 0.1 s")


def test_a_check_that_breaks_costs_its_own_line_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check_disk", lambda *_: 1 / 0)
    overrides = ["source.kind=demo", "source.rate_hz=60", "web.enabled=false", f"mqtt.port={free_port()}"]
    results = run(None, overrides)
    assert [result.check for result in results] == [name for name in NAMES if name not in ("file system", "card")]
    assert failed(results)


def test_what_is_to_be_mended_is_counted() -> None:
    lines = [Result("a", "ok", "x"), Result("b", "warning", "y", "Do."), Result("c", "failure", "z", "Do.")]
    assert report.summary(lines).startswith("1 failure and 1 warning: ")
    assert report.summary(lines[:1]) == "all is well"
    assert not failed(lines[:2])


def test_colours_are_around_the_state() -> None:
    result = Result("clock", "failure", "it stands", "Wind it up.")
    assert "\033" in report.as_text(result, colour=True)
    assert report.as_text(result).splitlines() == ["failure  clock         it stands", " " * 23 + "-> Wind it up."]


def test_no_escape_sequence_of_a_stranger_reaches_the_terminal() -> None:
    evil = "it says: \x1b]0;owned\x07\x1b[2J\x9b2J\u202e\u2028"
    result = Result("camera", "failure", evil, evil)
    assert all(line.isprintable() for line in report.as_text(result).split("\n"))
    assert report.as_json([result]).isascii()


def test_every_check_is_in_the_documentation() -> None:
    text = (ROOT / "docs/doctor.md").read_text()
    for name in NAMES:
        assert f"\n| `{name}` |" in text, name
