"""Who may log in at our Mosquitto, whatever happens while that is written down."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_agender.errors import BrokerError
from edge_agender.fleet import mosquitto
from edge_agender.fleet.enrolment import enrol, expire
from edge_agender.fleet.mosquitto import COLLECTOR, Credentials, OwnBroker
from edge_agender.fleet.settings import FleetConfig, OwnBrokerConfig
from edge_agender.fleet.store import open_database
from tests.support.broker import free_port, needs_mosquitto, wait_until

pytestmark = needs_mosquitto


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    made = Credentials(tmp_path, "edge-agender")
    made.prepare()
    made.put("lobby", "one")
    return made


def fail(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device", "mosquitto.conf")


def test_many_enrolments_at_once_lose_nobody(credentials: Credentials) -> None:
    names = [f"box-{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: Credentials(credentials.folder, "edge-agender").put(name, "secret"), names))
    assert credentials.users() == {COLLECTOR, "lobby", *names}
    credentials.remove("lobby")
    assert credentials.users() == {COLLECTOR, *names}


def test_a_full_disk_costs_nobodys_login(credentials: Credentials, tmp_path: Path) -> None:
    """A program that wrote half of the file, as it does where there is no more room."""
    program = tmp_path / "half"
    program.write_text('#!/bin/sh\nhead -c 20 "$1" > "$1.half"; mv "$1.half" "$1"\n')
    program.chmod(0o755)
    credentials._programs = mosquitto.Programs("", str(program))
    with pytest.raises(BrokerError, match="room on the disk"):
        credentials.put("bakery", "two")
    assert credentials.users() == {COLLECTOR, "lobby"}
    assert not list(tmp_path.glob("tmp*"))


def test_a_login_that_a_full_disk_keeps_is_not_shown_as_revoked_and_is_ended_later(
    credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FleetConfig(folder=tmp_path)
    database = open_database(f"sqlite:///{tmp_path / 'fleet.sqlite3'}")
    enrol(database, config, "guest", "acme", "north", 7, 0.0)
    with monkeypatch.context() as full:
        full.setattr(mosquitto, "replace_file", fail)
        with pytest.raises(OSError, match="No space"):
            expire(database, config, 8 * 86400)
    assert expire(database, config, 8 * 86400) == ["guest"]
    assert "guest" not in Credentials(tmp_path / "mosquitto", config.prefix).users()
    database.close()


def test_a_start_writes_only_what_is_new(credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in credentials.folder.iterdir()}
    monkeypatch.setattr(mosquitto, "replace_file", fail)
    again = Credentials(credentials.folder, "edge-agender")
    assert again.prepare() == credentials.prepare()
    assert {path.name: path.stat().st_mtime_ns for path in credentials.folder.iterdir()} == before


def test_a_broker_starts_again_though_its_number_cannot_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosquitto, "RESTART_S", 0.05)
    with OwnBroker(OwnBrokerConfig(port=free_port()), tmp_path, "edge-agender") as broker:
        monkeypatch.setattr(mosquitto, "write_if_changed", fail)
        former = broker.pid
        os.kill(former, 9)
        wait_until(lambda: broker.restarts == 1 and broker.pid not in (0, former), what="another one")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files are given to another user")
def test_what_an_administrator_enrols_the_service_can_read(credentials: Credentials) -> None:
    os.chown(credentials.folder, 65534, 65534)
    credentials.put("bakery", "two")
    found = (credentials.folder / "passwords").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (65534, 0o600)
