"""The live view: what it makes of messages, of strangers' messages, of narrow windows and of brokers that go away."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edge_agender.cli import main
from edge_agender.commands.terminal import width
from edge_agender.commands.watch.fleet import MAX_DEVICES, Fleet
from edge_agender.commands.watch.view import Screen, json_line, plain_line, table
from tests.support.broker import Broker, Ear, needs_mosquitto, running
from tests.support.typist import Typist, typing

NOW_S, UTC_S = 1000.0, 1795328707.0
ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def status(state: str = "online") -> dict[str, Any]:
    return {"schema": "edge-agender.status", "state": state, "software": "0.1.0"}


def frame(count: int, captured: str = "2026-11-22T05:45:06.750Z") -> dict[str, Any]:
    return {"schema": "edge-agender.frame", "captured": captured, "audience": {"count": count}}


def window(start: str, viewers: int) -> dict[str, Any]:
    return {"start": start, "viewers": viewers, "opportunities_to_see": 19, "conversion": 0.737}


def health(**changes: Any) -> dict[str, Any]:
    return {"fps": 15.0, "temperature_c": 52.6, "throttled": False, "alarms": [], **changes}


def demographics(start: str, **cells: int) -> dict[str, Any]:
    rows = [
        {
            "content": None,
            "gender": key.split("_")[0],
            "age_band": key.split("_", 1)[1].replace("_", "-"),
            "viewers": many,
            "sd": 3.0,
        }
        for key, many in cells.items()
    ]
    return {"start": start, "viewers": sum(cells.values()) + 2, "withheld": 2, "cells": rows}


def hearing(*messages: tuple[str, dict[str, Any]]) -> Fleet:
    fleet = Fleet("edge-agender")
    for topic, payload in messages:
        fleet.hear(f"edge-agender/{topic}", json.dumps(payload).encode(), NOW_S, UTC_S)
    return fleet


FULL = (
    ("lobby/status", status()),
    ("lobby/frame", frame(2)),
    ("lobby/health", health()),
    ("lobby/window", window("2026-11-22T05:55:00.000Z", 14)),
    ("door/status", status("offline")),
)


def test_gender_and_age_are_shown_of_now_and_of_the_last_table() -> None:
    here = frame(3) | {"audience": {"count": 3, "cells": [
        {"gender": "female", "age_band": "25-34", "count": 2}, {"gender": "male", "age_band": "65+", "count": 1},
        {"gender": "dragon", "age_band": "0-12", "count": 9}, "no cell"]}}  # fmt: skip
    told = demographics("2026-11-22T05:00:00.000Z", female_25_34=10, male_25_34=5)
    older = demographics("2026-11-22T04:00:00.000Z", male_0_12=50)
    fleet = hearing(("lobby/status", status()), ("lobby/frame", here), ("lobby/demographics", told),
                    ("lobby/demographics", older))  # fmt: skip
    (lobby,) = fleet.devices()
    line = plain_line(lobby, NOW_S, UTC_S)
    assert 'who="2f 25-34, 1m 65+"' in line
    assert 'table="05:00 17: 67 % f, most 25-34"' in line
    heard = json.loads(json_line(lobby, NOW_S, UTC_S))
    assert heard["now_cells"] == {"female": {"25-34": 2}, "male": {"65+": 1}}
    assert heard["demographics"]["cells"] == {"female": {"25-34": 10}, "male": {"25-34": 5}}
    for columns in (120, 60, 30):
        lines = table([lobby], "head", NOW_S, Screen(columns, 40, False))
        assert max(map(len, lines)) <= columns
        assert any(line.startswith("25-34") and "10 ± 3" in line for line in lines), columns


def test_a_pipe_gets_everybody_whatever_their_number() -> None:
    cells = [{"gender": gender, "age_band": band, "count": 1} for gender in ("female", "male", "unknown")
             for band in ("0-12", "25-34", "unknown")]  # fmt: skip
    crowd = frame(9) | {"audience": {"count": 9, "cells": cells}}
    (lobby,) = hearing(("lobby/status", status()), ("lobby/frame", crowd)).devices()
    assert (
        'who="1f 0-12, 1m 0-12, 1 unknown 0-12, 1f 25-34, 1m 25-34, 1 unknown 25-34, 1f age unknown, 1m age unknown, '
        '1 unknown"'
    ) in plain_line(lobby, NOW_S, UTC_S)


def test_an_alarm_says_since_when_and_is_no_change_while_it_lasts() -> None:
    alarmed = health(
        alarms=["nobody was seen for a day: look", "hot", 7], alarms_since=["2026-11-21T05:00:00.000Z", "x"]
    )
    (lobby,) = hearing(("lobby/status", status()), ("lobby/health", alarmed)).devices()
    then = datetime.fromisoformat("2026-11-21T05:00:00.000Z").astimezone()
    assert lobby.alarms == (f"nobody was seen for a day: look (since {then:%Y-%m-%d %H:%M})", "hot")
    assert lobby.alarms[0] in plain_line(lobby, NOW_S, UTC_S)


def test_a_missing_camera_is_the_devices_state() -> None:
    (lobby,) = hearing(("lobby/status", status() | {"source": "missing"})).devices()
    assert lobby.measuring == "camera missing"


def test_a_line_says_all_there_is() -> None:
    door, lobby = hearing(*FULL).devices()
    line = plain_line(lobby, NOW_S, UTC_S)
    for part in ("lobby state=online now=2 who=", '"05:55 14 viewers, 74 % of 19"', 'temp="53 °C"', "alarms=-"):
        assert part in line, line
    assert json.loads(json_line(door, NOW_S, UTC_S))["state"] == "offline"


def test_the_lag_is_from_the_picture_to_here_and_says_when_clocks_differ() -> None:
    lag = {"captured": "2026-11-22T05:45:06.750Z", "audience": {"count": 1}}
    fleet = Fleet("p")
    captured_s = 1795326306.75
    for late_s, said in ((0.25, 'lag="250 ms"'), (-30, "lag=clock?"), (12, 'lag="12 s"')):
        device = fleet.hear("p/x/frame", json.dumps(lag).encode(), NOW_S, captured_s + late_s)
        assert device is not None
        assert said in plain_line(device, NOW_S, UTC_S)


def test_what_the_broker_kept_says_nothing_about_the_lag() -> None:
    device = Fleet("p").hear("p/x/frame", json.dumps(frame(1)).encode(), NOW_S, UTC_S, retained=True)
    assert device is not None
    assert device.lag_s is None


def test_offline_devices_show_nothing_that_is_over() -> None:
    (lobby,) = hearing(*FULL[:4], ("lobby/status", status("offline"))).devices()
    assert (lobby.measuring, lobby.now, lobby.fps, lobby.alarms) == ("offline", None, None, ())
    assert lobby.window is not None


def test_a_switched_off_camera_is_told_with_its_reason() -> None:
    (lobby,) = hearing(*FULL[:2], ("lobby/enabled", {"measuring": False, "reason": "hours"})).devices()
    assert (lobby.measuring, lobby.now) == ("off (hours)", None)


def test_a_late_window_does_not_replace_a_newer_one() -> None:
    (lobby,) = hearing(*FULL[:4], ("lobby/window", window("2026-11-22T05:50:00.000Z", 3))).devices()
    assert lobby.window is not None
    assert lobby.window.viewers == 14


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff", b"[]", b"null", b"[" * 60000, b'{"audience": 5}', b'{"fps": NaN}', b'{"fps": 1e999}', b"1" * 5000,
     b'{"audience": {"count": -4}}', b'{"alarms": 7, "fps": "x", "temperature_c": [1]}', b"{" + b" " * 70000 + b"}",
     b'{"viewers": true, "start": 7}', b'{"captured": "9999-99-99"}', b'{"sent": "0001-01-01T00:00:00+14:00"}'],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["frame", "health", "window", "status", "enabled"])
def test_nonsense_is_survived(kind: str, raw: bytes) -> None:
    fleet = Fleet("p")
    fleet.hear(f"p/x/{kind}", raw, NOW_S, UTC_S)
    for device in fleet.devices():
        assert "\n" not in plain_line(device, NOW_S, UTC_S)
        json.loads(json_line(device, NOW_S, UTC_S))


def test_no_escape_sequence_of_a_stranger_reaches_the_terminal() -> None:
    fleet = Fleet("p")
    evil = {"state": f"online{ESCAPE}", "alarms": [ESCAPE + "hot"], "reason": ESCAPE, "measuring": False,
            "start": f"2026-11-22T05:55{ESCAPE}", "viewers": 3}  # fmt: skip
    for kind in ("status", "enabled", "health", "window"):
        fleet.hear(f"p/lob{ESCAPE}by/{kind}", json.dumps(evil).encode(), NOW_S, UTC_S)
    (device,) = fleet.devices()
    lines = [*table([device], "head", NOW_S, Screen(100, 30, False)), plain_line(device, NOW_S, UTC_S)]
    lines.append(json_line(device, NOW_S, UTC_S))
    assert all(line.isprintable() for line in lines), lines


def test_a_name_with_spaces_does_not_pass_for_fields() -> None:
    (device,) = hearing(("x state=online now=9/status", status("offline"))).devices()
    assert ' "x state=online now=9" state=offline ' in plain_line(device, NOW_S, UTC_S)


def test_a_flood_of_names_is_bounded() -> None:
    fleet = Fleet("p")
    for number in range(MAX_DEVICES + 50):
        fleet.hear(f"p/d{number}/status", json.dumps(status()).encode(), NOW_S, UTC_S)
    assert len(fleet.devices()) == MAX_DEVICES


@pytest.mark.parametrize("columns", [1, 10, 20, 40, 60, 80, 200])
@pytest.mark.parametrize("rows", [1, 3, 24])
def test_the_table_fits_any_window(columns: int, rows: int) -> None:
    names = ["lobby", "入口のカメラ", "a-very-long-name-of-a-device-somewhere", *(f"d{n}" for n in range(20))]
    messages = [(f"{name}/{kind.partition('/')[2]}", payload) for name in names for kind, payload in FULL[:4]]
    alarmed = [("lobby/health", health(alarms=["the disk is full: free some space"]))]
    lines = table(hearing(*messages, *alarmed).devices(), "a headline", NOW_S, Screen(columns, rows, False))
    assert len(lines) <= rows
    if columns >= 10:
        assert all(width(line) <= columns for line in lines), lines


def test_a_narrow_window_keeps_device_state_and_now_and_marks_alarms() -> None:
    fleet = hearing(*FULL[:4], ("lobby/health", health(alarms=["hot"])))
    wide, narrow = (table(fleet.devices(), "", NOW_S, Screen(columns, 30, False)) for columns in (160, 24))
    heads = ["DEVICE", "STATE", "NOW", "WHO", "LAST", "WINDOW", "LAST", "TABLE", "FPS", "LAG", "TEMP", "ALARMS"]
    assert wide[1].split() == heads
    assert narrow[1].split() == ["DEVICE", "STATE", "NOW"]
    assert narrow[2].split() == ["lobby", "online", "!", "2"]


# -- with a real broker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Broker]:
    with running(Broker(tmp_path / "broker")) as broker:
        yield broker


def on_a_pipe(server: Broker, *words: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "edge_agender",
        "watch",
        "--broker",
        "127.0.0.1",
        "--port",
        str(server.port),
        *words,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def keep(server: Broker, device: str, **payload: Any) -> None:
    command = ["mosquitto_pub", "-p", str(server.port), "-r", "-q", "1", "-t", f"edge-agender/{device}/status"]
    subprocess.run([*command, "-m", json.dumps({**status(), **payload})], check=True)


@needs_mosquitto
def test_on_a_pipe_it_is_one_line_a_change(server: Broker) -> None:
    with Ear(server.port) as ear:
        keep(server, "lobby")
        process = on_a_pipe(server, "--count", "3")
        assert process.stdout is not None
        assert " lobby state=online now=- " in process.stdout.readline()
        for count in (2, 2, 3):
            ear.say("edge-agender/lobby/frame", json.dumps(frame(count)))
        out, error = process.communicate(timeout=60)
    assert [re.search(r"now=(\d)", line)[1] for line in out.splitlines()] == ["2", "3"]  # type: ignore[index]
    assert (process.returncode, error) == (0, "")


@needs_mosquitto
def test_it_ends_when_its_reader_leaves(server: Broker) -> None:
    with Ear(server.port) as ear:
        keep(server, "lobby")
        process = on_a_pipe(server)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        ear.say("edge-agender/lobby/frame", json.dumps(frame(2)))
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


@needs_mosquitto
def test_a_pipe_that_knows_fewer_letters_gets_question_marks(server: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    keep(server, "caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    out, error = on_a_pipe(server, "--count", "1").communicate(timeout=60)
    assert " caf? state=online" in out, error


@needs_mosquitto
def test_json_of_one_device_of_several(server: Broker) -> None:
    keep(server, "lobby")
    keep(server, "door", state="offline")
    process = on_a_pipe(server, "--json", "--device", "door", "--count", "1")
    out, _ = process.communicate(timeout=60)
    assert [(line["device"], line["state"]) for line in map(json.loads, out.splitlines())] == [("door", "offline")]


@needs_mosquitto
def test_a_broker_that_goes_away_is_told_and_comes_back(server: Broker) -> None:
    with Ear(server.port) as ear:
        keep(server, "lobby")
        process = on_a_pipe(server, "--count", "2", "--seconds", "600")
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        server.kill()
        assert "the connection was lost" in process.stderr.readline()
        server.start()
        # It may need several attempts, each with a complaint of its own kind.
        while not (line := process.stderr.readline()).endswith("again\n"):
            assert line, "it ended without being connected again"
        ear.wait_back()
        keep(server, "lobby", state="stopped")
        out, _ = process.communicate(timeout=60)
    assert "state=stopped" in out
    assert process.returncode == 0


@needs_mosquitto
def test_ctrl_c_is_no_error(server: Broker) -> None:
    keep(server, "lobby")
    process = on_a_pipe(server)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


@needs_mosquitto
def test_who_may_not_read_is_told_at_once(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "b", lines=["allow_anonymous false", f"password_file {tmp_path}/b/passwords",
                                           f"acl_file {tmp_path}/acl"])  # fmt: skip
    broker.add_user("lobby", "right")
    (tmp_path / "acl").write_text("pattern write edge-agender/%u/#\n")
    (tmp_path / "wrong").write_text("wrong\n")
    (tmp_path / "right").write_text("right\n")
    with running(broker):
        words = ("--user", "lobby", "--password-file")
        wrong = on_a_pipe(broker, *words, str(tmp_path / "wrong"))
        silent = on_a_pipe(broker, *words, str(tmp_path / "right"))
        error = wrong.communicate(timeout=60)[1]
        assert wrong.returncode == 77, error
        assert "refuses user lobby" in error
        assert silent.stderr is not None
        # Mosquitto 2.0 takes the subscription and serves it nothing; others refuse it.
        assert re.search("ACL", silent.stderr.readline())
        silent.send_signal(signal.SIGINT)
        assert silent.wait(60) in (0, 77)


@pytest.mark.parametrize(
    "words",
    ["--device a/b", "--count 0", "--seconds -1", "--broker ws://x", "--port x", "--password-file /etc/hostname"],
)
def test_flags_that_make_no_sense_are_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", *words.split()]) in (64, 78)
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert words.split()[1] in error or "mqtt.host" in error


@needs_mosquitto
def test_on_a_terminal_it_redraws_follows_the_window_and_leaves_the_last_view(server: Broker) -> None:
    words = ("watch", "--broker", "127.0.0.1", "--port", str(server.port))
    with Ear(server.port) as ear, typing(*words, environment={"NO_COLOR": "1"}) as typist:
        keep(server, "lobby")
        typist.wait_for(r"1 device .*\n.*ALARMS")
        typist.wait_for("lobby +online")
        ear.say("edge-agender/lobby/frame", json.dumps(frame(4)))
        typist.wait_for("lobby +online +4 ")
        typist.resize(24, 10)
        typist.wait_for(r"\x1b\[2J\x1b\[H.*\n*DEVICE +STATE +NOW\x1b")
        _ends_well(typist)
    assert "\x1b[3" not in typist.seen, "colours in spite of NO_COLOR"


def _ends_well(typist: Typist) -> None:
    typist.press("\x03")
    assert typist.end() == 0
    left = typist.seen.rpartition("\x1b[?1049l")[2]
    assert "lobby" in left
    assert "\x1b" not in left
