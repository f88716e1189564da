from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest

from edge_agender.config.settings import ScheduleConfig
from edge_agender.device.state import LateSaver, StateFolder
from edge_agender.device.switch import Switch
from tests.support.unprivileged import folder_for_all, needs_root, nobody

TUESDAY = datetime(2026, 11, 24, 12, 0)
NIGHT = datetime(2026, 11, 24, 23, 0)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "a" / "b")
    assert folder.load("x") is None
    assert folder.save("x", {"n": [1, 2]})
    assert StateFolder(tmp_path / "a" / "b").load("x") == {"n": [1, 2]}
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x.json"]


UNUSABLE = {
    "cut short": b'{"format": 1, "op',
    "empty": b"",
    "not text": b"\xff\xfe",
    "deep": b"[" * 200_000,
    "large": b"[" + b" " * (2 << 20) + b"]",
    "a key twice": b'{"a": 1, "a": 2}',
    "not a number": b"[NaN]",
    "beyond a float": b"[1e400]",
    "beyond an integer": b"9" * 5000,
    "a lone surrogate": b'["\\ud800"]',
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_used_is_set_aside_and_an_alarm(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.json").write_bytes(content)
    folder = StateFolder(tmp_path)
    assert folder.load("x") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "set aside as x.json.unusable-1" in folder.alarms[0]
    assert "\n" not in folder.alarms[0]
    assert (tmp_path / "x.json.unusable-1").read_bytes() == content
    assert folder.load("x") is None
    assert folder.save("x", 1)
    assert StateFolder(tmp_path).load("x") == 1
    assert not StateFolder(tmp_path).alarms


@pytest.mark.parametrize("kind", ["folder", "full folder", "fifo", "link", "link to itself", "link to a device"])
def test_what_is_no_file_is_set_aside_without_waiting_for_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.json"
    if "folder" in kind:
        path.mkdir()
        if kind == "full folder":
            (path / "inside").touch()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        (tmp_path / "elsewhere").write_text("5")
        target = {"link": "elsewhere", "link to itself": "x.json", "link to a device": "/dev/zero"}[kind]
        path.symlink_to(target)
    folder = StateFolder(tmp_path)
    assert folder.load("x") is None
    assert "set aside" in folder.alarms[0]
    assert folder.save("x", 6)
    assert StateFolder(tmp_path).load("x") == 6


def test_only_the_newest_two_are_kept_aside(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "x.json").write_text(f"broken {number}")
        StateFolder(tmp_path).load("x")
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"x.json.unusable-3": "broken 2", "x.json.unusable-4": "broken 3"}


@pytest.mark.parametrize("trap", ["link", "fifo"])
def test_what_lies_where_the_new_file_is_written_is_not_written_through(tmp_path: Path, trap: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    if trap == "link":
        (tmp_path / ".x.json.part").symlink_to(victim)
    else:
        os.mkfifo(tmp_path / ".x.json.part")
    assert StateFolder(tmp_path).save("x", 1)
    assert victim.read_text() == "mine"
    assert (tmp_path / "x.json").read_text() == "1"


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StateFolder(tmp_path)
    assert folder.save("x", 1)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert not folder.save("x", 2)
        assert "No space left" in folder.alarms[0]
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert folder.load("x") == 1
    assert folder.save("x", 3)
    assert not folder.alarms


def test_the_folders_names_are_on_disk_before_a_save_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename that is not flushed may be gone after a power cut, and with it a window that was published."""
    flushed: list[bool] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        flushed.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    assert StateFolder(tmp_path).save("x", 1)
    assert flushed == [False, True]


@needs_root
def test_a_folder_that_may_not_be_read_says_so_and_keeps_the_camera_closed() -> None:
    with folder_for_all() as place:
        (place / "state").mkdir(mode=0o700)
        assert StateFolder(place / "state").save("enabled", False)
        with nobody():
            folder = StateFolder(place / "state")
            state = Switch(ScheduleConfig(off_file=None), folder).state(TUESDAY)
    assert (state.enabled, state.measuring, state.reason) == (False, False, "state")
    assert any("Permission denied" in alarm for alarm in folder.alarms)


@needs_root
def test_a_folder_that_may_only_be_read_is_read_and_an_alarm() -> None:
    with folder_for_all() as place:
        assert StateFolder(place).save("enabled", False)
        (place / "enabled.json").chmod(0o644)
        with nobody():
            folder = StateFolder(place)
            switch = Switch(ScheduleConfig(off_file=None), folder)
            assert switch.state(TUESDAY).reason == "command"
            switch.set_remote(True)
            assert switch.state(TUESDAY).measuring
            assert "Permission denied" in folder.alarms[0]


@pytest.mark.parametrize("content", [b"3", b"[]", b'"on"', b"null", b"{", b""])
def test_a_damaged_switch_stays_off_until_it_is_set_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "enabled.json").write_bytes(content)
    config, folder = ScheduleConfig(off_file=None), StateFolder(tmp_path)
    switch = Switch(config, folder)
    assert switch.state(TUESDAY).reason == "state"
    assert "enabled.json" in folder.alarms[0]
    assert not Switch(config, StateFolder(tmp_path)).state(TUESDAY).measuring
    switch.set_remote(True)
    assert switch.state(TUESDAY).measuring
    assert Switch(config, StateFolder(tmp_path)).state(TUESDAY).measuring


def test_without_a_folder_nothing_is_read_or_kept() -> None:
    folder = StateFolder(None)
    with folder.locked():
        assert folder.save("x", 1)
        assert folder.load("x") is None
        folder.set_aside("x", "no reason")
    assert not folder.alarms


def test_a_second_process_on_one_folder_is_refused_and_a_later_one_is_not(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from edge_agender.device.state import StateFolder\n"
        "with StateFolder(Path(sys.argv[1])).locked(): pass"
    )
    second = [sys.executable, "-c", code, str(tmp_path)]
    with StateFolder(tmp_path).locked():
        done = subprocess.run(second, capture_output=True, text=True, check=False)
        assert "another edge-agender works with this folder" in done.stderr
    assert subprocess.run(second, check=False).returncode == 0


def test_without_threads_it_writes_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", exhausted)
    saver = LateSaver(StateFolder(tmp_path), "x")
    assert saver.settled(saver.save(7))
    assert StateFolder(tmp_path).load("x") == 7


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


def test_after_a_save_that_failed_otherwise_the_next_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = StateFolder(tmp_path)
    saver = LateSaver(folder, "x")

    def out_of_memory(name: str, text: str) -> bool:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(folder, "write", out_of_memory)
        ticket = saver.save(1)
        saver.wait(60)
    assert saver.settled(ticket)
    assert "x: cannot be saved: MemoryError()" in caplog.text
    ticket = saver.save(2)
    saver.wait(60)
    assert saver.settled(ticket)
    assert StateFolder(tmp_path).load("x") == 2
