"""What comes from afar is taken over whole or not at all, survives a restart without the broker, and is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agender.config.load import load
from edge_agender.config.settings import Config
from edge_agender.daemon.changes import opened
from edge_agender.daemon.remote import LENGTH_CHANGES, MOST_STARTS, NAME, PROVEN_S, Remote
from edge_agender.delivery.inbox import DESIRED_EVERY_S, Inbox
from edge_agender.device.state import StateFolder
from edge_agender.errors import ConfigError, ModelError
from edge_agender.messages.inbound import MAX_DESIRED_BYTES, parse_desired
from edge_agender.messages.sender import Sender
from tests.support.message_check import check

NOON_S = 1_796_000_000.0
ALLOWED = "fleet.remote_config=true"


def desired(revision: int, **sections: Any) -> bytes:
    return json.dumps({"revision": revision, "configuration": sections}).encode()


class Box:
    """One process: the state folder of its predecessor, a local file, and an engine that takes what it is given."""

    def __init__(self, folder: Path, *options: str, fails: Callable[[Config], bool] = lambda _: False) -> None:
        self.local = load(None, [ALLOWED, "device.name=box", *options])
        self._fails = fails
        self.remote = Remote(StateFolder(folder), Sender("p", "box", "b" * 16, "1", {}), self.local)
        self.config = self.remote.start()

    def apply(self, config: Config) -> None:
        if self._fails(config):
            raise ModelError("no model is called so")
        self.config = config

    def take(self, payload: bytes, utc_s: float = NOON_S) -> dict[str, Any]:
        self.remote.take(payload, self.apply, utc_s)
        return self.reported()

    def reload(self, *options: str) -> dict[str, Any]:
        self.local = load(None, ["device.name=box", *options])
        self.remote.reload(self.local, self.apply, NOON_S)
        return self.reported()

    def prove(self) -> None:
        for now_s in (0.0, PROVEN_S + 1):
            self.remote.progress(now_s, fresh=True)

    def reported(self) -> dict[str, Any]:
        return check(self.remote.message(NOON_S).payload)


def test_what_is_desired_is_in_force_and_reported(tmp_path: Path) -> None:
    box = Box(tmp_path)
    assert box.reported()["state"] == "local"
    said = box.take(desired(7, window={"length_s": 300}))
    assert box.config.window.length_s == 300
    assert (said["state"], said["desired_revision"], said["applied_revision"], said["reasons"]) == ("applied", 7, 7, [])
    assert said["effective"]["window.length_s"] == 300
    assert said["applied"] == said["sent"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (desired(8, privacy={"level": "viewer"}), "privacy.level: viewer is looser"),
        (desired(8, source={"opencv": {"uri": "x"}}), "cannot be set from afar"),
        (desired(8, window={"length_s": 61}), "window.length_s"),
        (desired(8, estimator={"model": "none-such"}), "no model is called so"),
        (desired(7, privacy={"min_cell": 9}), "7 is in force"),
        (desired(6), "7 is in force"),
        (b"{}", "write revision and configuration"),
        (b"\xff", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b'{"revision": 8, "revision": 9, "configuration": {}}', "a key is given twice"),
        (b'{"revision": 1e400, "configuration": {}}', "not JSON"),
        (b'{"revision": true, "configuration": {}}', "revision must be"),
        (b'{"revision": 8, "configuration": []}', "configuration must"),
        (b'{"revision": 8, "configuration": {}, "and": 1}', "nothing else"),
        (b" " * (MAX_DESIRED_BYTES + 1), "bytes: at most"),
    ],
)
def test_what_is_refused_is_said_in_words_and_the_old_one_stays(tmp_path: Path, payload: bytes, reason: str) -> None:
    box = Box(tmp_path, fails=lambda config: config.estimator.model == "none-such")
    box.take(desired(7, window={"length_s": 300}))
    before = box.config
    said = box.take(payload)
    assert (said["state"], said["applied_revision"]) == ("refused", 7)
    assert reason in "\n".join(said["reasons"])
    assert box.config == before
    assert Box(tmp_path).config == before, "a refused one must not come with the next start either"
    assert box.take(desired(9, window={"length_s": 600}))["state"] == "applied"


def test_it_survives_a_restart_without_the_broker(tmp_path: Path) -> None:
    Box(tmp_path).take(desired(7, privacy={"min_cell": 9}))
    box = Box(tmp_path)
    assert box.config.privacy.min_cell == 9
    assert box.reported()["applied_revision"] == 7
    # The broker has kept it, and says it again: nothing changes.
    assert box.take(desired(7, privacy={"min_cell": 9}))["state"] == "applied"


def test_an_empty_message_returns_to_the_local_file(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.take(desired(7, privacy={"min_cell": 9}))
    said = box.take(b"")
    assert (said["state"], said["applied_revision"], said["applied"]) == ("local", 0, None)
    assert box.config == box.local == Box(tmp_path).config
    assert box.take(desired(1, privacy={"min_cell": 8}))["state"] == "applied", "a fleet that begins anew begins at 1"


def test_the_local_file_wins_whenever_it_forbids(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.take(desired(7, privacy={"min_cell": 9}, window={"length_s": 300}))
    said = box.reload(ALLOWED, "privacy.min_cell=20")
    assert (said["state"], said["applied_revision"]) == ("refused", 0)
    assert box.config == box.local
    said = box.reload(ALLOWED, "privacy.min_cell=6")
    assert (said["state"], said["applied_revision"]) == ("applied", 7), "it was waiting for that"
    assert (box.config.privacy.min_cell, box.config.window.length_s) == (9, 300)
    assert box.reload(ALLOWED, "privacy.min_cell=6", "fleet.locked=[window]")["state"] == "refused"
    said = box.reload("privacy.min_cell=6")
    assert (said["state"], said["effective"]) == ("off", {})
    assert box.config == box.local
    assert box.take(desired(8, privacy={"min_cell": 9}))["state"] == "off"
    assert box.config == box.local


def test_a_local_file_that_changed_before_a_start_wins_too(tmp_path: Path) -> None:
    Box(tmp_path).take(desired(7, privacy={"min_cell": 9}))
    box = Box(tmp_path, "privacy.min_cell=20")
    assert box.config == box.local
    assert box.reported()["state"] == "refused"


def test_who_allows_nothing_is_not_spoken_of_and_what_was_is_taken_back(tmp_path: Path) -> None:
    off = Box(tmp_path / "never", "fleet.remote_config=false")
    assert not off.remote.has_news
    Box(tmp_path).take(desired(7, privacy={"min_cell": 9}))
    off = Box(tmp_path, "fleet.remote_config=false")
    assert off.config == off.local
    assert off.remote.has_news
    assert off.reported()["state"] == "off"
    assert Box(tmp_path).config.privacy.min_cell == 5, "allowed again, it waits for what the broker says now"


def test_switched_off_and_on_again_by_the_file_what_is_desired_comes_back(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.take(desired(7, privacy={"min_cell": 9}))
    assert box.reload("privacy.min_cell=6")["state"] == "off"
    said = box.reload(ALLOWED)
    assert (said["state"], said["applied_revision"], box.config.privacy.min_cell) == ("applied", 7, 9)
    # The broker sends it once a connection: what comes meanwhile counts as well, and nothing is said of it.
    box.reload("privacy.min_cell=6")
    said = box.take(desired(8, privacy={"min_cell": 10}))
    assert (said["state"], said["desired_revision"], box.config.privacy.min_cell) == ("off", None, 6)
    assert box.reload(ALLOWED)["applied_revision"] == 8
    box.reload("privacy.min_cell=6")
    said = box.take(b"nonsense")
    assert (said["state"], said["reasons"]) == ("off", [])
    assert box.reload(ALLOWED)["state"] == "local"


def test_it_cannot_be_switched_on_without_a_restart(tmp_path: Path) -> None:
    box = Box(tmp_path, "fleet.remote_config=false")
    with pytest.raises(ConfigError, match="restart"):
        box.reload(ALLOWED)


def test_what_kills_the_process_is_given_up_and_what_a_plug_did_is_not(tmp_path: Path) -> None:
    first = Box(tmp_path)
    first.take(desired(7, privacy={"min_cell": 9}))
    first.prove()
    first.take(desired(8, privacy={"min_cell": 10}))
    for _ in range(MOST_STARTS):
        assert Box(tmp_path).config.privacy.min_cell == 10
    box = Box(tmp_path)
    assert box.config.privacy.min_cell == 9, "back to what was proven"
    assert "the process ended" in box.reported()["reasons"][0]
    assert "given up" in box.take(desired(8, privacy={"min_cell": 10}))["reasons"][0]
    assert box.take(desired(9, privacy={"min_cell": 11}))["state"] == "applied"
    box.prove()
    for _ in range(MOST_STARTS + 2):
        assert Box(tmp_path).config.privacy.min_cell == 11


def test_a_service_that_does_not_start_with_it_starts_without(tmp_path: Path) -> None:
    Box(tmp_path).take(desired(7, privacy={"min_cell": 9}))
    box = Box(tmp_path)

    def open_engine(config: Config) -> Any:
        box.apply(config)
        if config.privacy.min_cell == 9:
            raise ModelError("the model is gone")

    opened(box.remote, box.local, open_engine)
    assert box.config == box.local
    assert "the model is gone" in box.reported()["reasons"][0]
    assert Box(tmp_path).config == box.local


def test_windows_cannot_be_cut_short_by_changing_their_length_all_the_time(tmp_path: Path) -> None:
    """Each change of a length publishes what is open: a hostile fleet would get windows as short as it likes."""
    box = Box(tmp_path)
    states = [
        box.take(desired(number + 1, window={"length_s": length_s}), NOON_S + 10 * number)["state"]
        for number, length_s in enumerate((120, 180, 240, 300, 360, 600))
    ]
    assert states == ["applied"] * LENGTH_CHANGES + ["refused"] * 2
    assert box.take(b"", NOON_S + 600)["state"] == "refused", "taking it back is a change too"
    again = Box(tmp_path)
    assert again.take(desired(20, window={"length_s": 600}), NOON_S + 700)["state"] == "refused", (
        "not after a start either"
    )
    assert (
        again.take(desired(21, privacy={"min_cell": 9}, window={"length_s": 300}), NOON_S + 701)["state"] == "applied"
    )
    assert again.take(desired(22, window={"length_s": 600}), NOON_S + 90_000)["state"] == "applied"


@pytest.mark.parametrize(
    "saved", [[], {"format": 2}, {"format": 1, "device": "p/other"}, "x", {"in_force": {"revision": -1}}]
)
def test_a_state_that_cannot_be_right_is_set_aside(tmp_path: Path, saved: object) -> None:
    Box(tmp_path).take(desired(7, privacy={"min_cell": 9}))
    path = tmp_path / f"{NAME}.json"
    good = json.loads(path.read_text())
    path.write_text(json.dumps(good | saved if isinstance(saved, dict) else saved))
    box = Box(tmp_path)
    assert box.config == box.local
    assert list(tmp_path.glob(f"{NAME}.json.unusable-*"))


def test_a_state_written_by_somebody_else_can_do_no_more_than_the_fleet(tmp_path: Path) -> None:
    Box(tmp_path).take(desired(7, privacy={"min_cell": 9}))
    path = tmp_path / f"{NAME}.json"
    good = json.loads(path.read_text())
    for configuration in ({"privacy": {"level": "viewer"}}, {"source": {"opencv": {"uri": "x"}}}, {"privacy": None}):
        good["in_force"]["configuration"] = configuration
        path.write_text(json.dumps(good))
        box = Box(tmp_path)
        assert box.config == box.local


def test_a_flood_is_taken_one_at_a_time_the_latest_first() -> None:
    now_s = 0.0
    inbox = Inbox(lambda: now_s)
    for revision in range(1, 100):
        inbox.desired("d/desired", desired(revision))
    taken = inbox.take_desired()
    assert taken is not None
    assert parse_desired(taken).revision == 99
    inbox.desired("d/desired", desired(100))
    assert inbox.take_desired() is None
    now_s += DESIRED_EVERY_S
    assert inbox.take_desired() == desired(100)
