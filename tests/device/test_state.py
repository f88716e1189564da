from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest

from edge_agender.config.settings import ScheduleConfig
from edge_agender.device.state import LateSaver, StateFolder
from edge_agender.device.switch import Switch

TUESDAY = datetime(2026, 11, 24, 12, 0)
NIGHT = datetime(2026, 11, 24, 23, 0)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "a" / "b")
    assert folder.load("x") is None
    assert folder.save("x", {"n": [1, 2]})
    assert StateFolder(tmp_path / "a" / "b").load("x") == {"n": [1, 2]}
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x.json"]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 5000, b" " * (2 << 20)])
def test_a_damaged_file_is_nothing_and_one_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.json").write_bytes(content)
    folder = StateFolder(tmp_path)
    with caplog.at_level(logging.DEBUG):
        assert folder.load("x") is None
        assert folder.load("x") is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG"]


def test_a_disk_that_takes_nothing_is_no_exception(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not StateFolder(tmp_path / "file").save("x", 1)


def test_the_remote_switch_is_remembered(tmp_path: Path) -> None:
    config = ScheduleConfig(off_file=None)
    Switch(config, StateFolder(tmp_path)).set_remote(False)
    state = Switch(config, StateFolder(tmp_path)).state(TUESDAY)
    assert (state.enabled, state.measuring, state.reason) == (False, False, "command")


def test_hours_and_file_close_the_camera_whatever_the_remote_says(tmp_path: Path) -> None:
    off = tmp_path / "off"
    switch = Switch(ScheduleConfig(hours=("mon-fri 08:00-20:00",), off_file=off), StateFolder(tmp_path))
    assert switch.state(TUESDAY).measuring
    assert switch.state(NIGHT).reason == "hours"
    off.touch()
    assert switch.state(TUESDAY).reason == "file"
    assert switch.state(TUESDAY).enabled


def test_a_card_that_stalls_holds_nobody_up_and_gets_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled, heals, fsync = threading.Event(), threading.Event(), os.fsync

    def stall(descriptor: int) -> None:
        stalled.set()
        assert heals.wait(60)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", stall)
    folder = StateFolder(tmp_path)
    saver = LateSaver(folder, "x")
    saver.save(1)
    assert stalled.wait(60)
    for value in range(2, 100):
        saver.save(value)
    assert not saver.wait(0.01)
    assert folder.load("x") is None
    heals.set()
    assert saver.wait(60)
    assert folder.load("x") == 99
    saver.save(100)
    assert saver.wait(60)
    assert folder.load("x") == 100


def test_a_process_does_not_end_before_its_last_value_is_written(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from edge_agender.device.state import LateSaver, StateFolder\n"
        "os.fsync = lambda descriptor: time.sleep(0.3)\n"
        "saver = LateSaver(StateFolder(Path(sys.argv[1])), 'x'); saver.save(1); saver.save(2)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert StateFolder(tmp_path).load("x") == 2
