"""A store opens whatever happened to the process before: killed in the middle, a full disk, a server that is away."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agender.errors import ConfigError
from edge_agender.fleet.store import Database, StoreBusyError, open_database
from edge_agender.fleet.store.sqlite import SqliteDatabase
from proofs.fleet.servers import Postgresql

# The process kills itself at the last moment: tables are made, and the note of it is not written.
KILLED = """
import os, sys
from yoyo.backends.base import DatabaseBackend
DatabaseBackend.mark_one = lambda *_, **__: os.kill(os.getpid(), 9)
from edge_agender.fleet.store import open_database
open_database(sys.argv[1])
"""


def url_of(database: Database) -> str:
    return f"sqlite:///{database.path}" if isinstance(database, SqliteDatabase) else database._url  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_killed_while_it_made_the_tables_the_next_start_makes_them(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.sqlite3'}"
    if kind == "postgresql":
        server: Postgresql = request.getfixturevalue("_server")
        url = server.url
    done = subprocess.run([sys.executable, "-c", KILLED, url], check=False)
    assert done.returncode == -signal.SIGKILL
    database = open_database(url)
    with database.reading() as transaction:
        assert transaction.rows("SELECT count(*) FROM message") == [(0,)]
    database.close()


def test_the_usual_start_writes_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so needs no room on the disk, and waits for no lock."""
    monkeypatch.setattr("yoyo.get_backend", lambda _url: pytest.fail("a backend that writes"))
    open_database(url_of(database)).close()


def test_a_full_disk_and_a_server_that_is_away_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 78 is a configuration's mistake, after which systemd does not start again."""

    def full(_url: str) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr("yoyo.get_backend", full)
    with pytest.raises(StoreBusyError, match="full"):
        open_database(f"sqlite:///{tmp_path / 'fleet.sqlite3'}")
    with pytest.raises(StoreBusyError, match="refused"):
        open_database("postgresql://fleet@127.0.0.1:1/fleet?connect_timeout=2")
    with pytest.raises(ConfigError, match="neither"):
        open_database("mysql://fleet@db/fleet")


def test_an_error_without_words_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_url: str) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("yoyo.get_backend", silent)
    with pytest.raises(StoreBusyError, match="ConnectionResetError"):
        open_database(f"sqlite:///{tmp_path / 'fleet.sqlite3'}")
