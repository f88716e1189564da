"""The collector acknowledges what is stored, and nothing stops it: a full disk, a kill, a wrong clock."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from edge_agender.fleet import collector as collecting
from edge_agender.fleet.collector import Collector
from edge_agender.fleet.overview import devices
from edge_agender.fleet.records import Arrival, Durable, Record
from edge_agender.fleet.store import Database
from edge_agender.fleet.store.sqlite import SqliteDatabase
from tests.fleet.messages import NOW_S, PREFIX, arrival, health, window


class Broker:
    """Delivers again what was not acknowledged, as a broker does when a session comes back."""

    def __init__(self, messages: Sequence[Arrival]) -> None:
        self.waiting = list(messages)

    def take(self, limit: int, wait_s: float) -> list[Arrival]:
        return self.waiting[:limit]

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        done = {id(one) for one in arrivals}
        self.waiting = [one for one in self.waiting if id(one) not in done]


def count(database: Database, sql: str = "SELECT count(*) FROM message") -> int:
    with database.reading() as transaction:
        return int(transaction.rows(sql)[0][0])


def test_a_full_disk_costs_nothing_and_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(database, SqliteDatabase):
        pytest.skip("its limit of pages is SQLite's")
    broker = Broker([arrival(window(number)) for number in range(300)])
    collector = Collector(broker, database, PREFIX, lambda: NOW_S)
    stop, troubles = threading.Event(), list[str | None]()

    def run() -> None:
        """SQLite's own limit of pages stands for the disk's; it belongs to the connection, which is a thread's."""
        pages = database._connection().execute("PRAGMA page_count").fetchone()[0]
        database._connection().execute(f"PRAGMA max_page_count={pages + 1}")
        monkeypatch.setattr(collector._backoff, "next_s", lambda: troubles.append(collector.trouble) or grow())
        collector.turn(stop, 0)

    def grow() -> float:
        assert len(broker.waiting) == 300  # nothing was acknowledged
        if len(troubles) == 3:
            database._connection().execute("PRAGMA max_page_count=100000")
        return 0.0

    worker = threading.Thread(target=run)
    worker.start()
    worker.join(60)
    assert count(database) == 300
    assert broker.waiting == []
    assert troubles
    assert all("full" in str(trouble) for trouble in troubles)
    assert collector.trouble is None


def test_killed_between_commit_and_acknowledgement_nothing_is_stored_twice(database: Database) -> None:
    messages = [arrival(window(number)) for number in range(40)]
    killed = Broker(messages)
    killed.acknowledge = lambda arrivals: None  # type: ignore[method-assign]
    Collector(killed, database, PREFIX, lambda: NOW_S).turn(threading.Event(), 0)
    assert count(database) == 40
    broker = Broker(messages)
    successor = Collector(broker, database, PREFIX, lambda: NOW_S)
    successor.turn(threading.Event(), 0)
    assert broker.waiting == []
    assert (count(database), successor.totals.copies) == (40, 40)
    assert count(database, "SELECT sum(viewers) FROM audience_window") == 240


def test_what_the_store_cannot_hold_is_put_aside_alone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the intake lets through: a message that the database refuses must not hold up the others."""
    broker = Broker([arrival(window(number)) for number in range(20)])
    real = collecting.read

    def read(one: Arrival, prefix: str) -> Record | None:
        found = real(one, prefix)
        return replace(found, number=2**70) if isinstance(found, Durable) and found.sequence == 7 else found

    monkeypatch.setattr(collecting, "read", read)
    Collector(broker, database, PREFIX, lambda: NOW_S).turn(threading.Event(), 0)
    assert broker.waiting == []
    assert count(database) == 19
    with database.reading() as transaction:
        [(reason,)] = transaction.rows("SELECT reason FROM refused")
    assert "does not take it" in reason


def test_a_clock_that_is_wrong_by_a_year_loses_nothing_and_is_shown(database: Database) -> None:
    wrong = [window(number) | {"start": f"2025-11-22T00:{number:02d}:00.000Z"} for number in range(3)]
    states = [arrival(health({"window": 2}, sent="2025-12-02T00:00:00.000Z")), arrival(health({}, device="bakery"))]
    broker = Broker([*map(arrival, wrong), *states])
    collector = Collector(broker, database, PREFIX, lambda: NOW_S)
    collector.turn(threading.Event(), 0)
    assert count(database) == 3
    shown = {one["name"]: one["alarms"] for one in devices(database, "", 300, NOW_S)}
    assert "its clock is off" in shown["lobby"][0]
    assert shown["bakery"] == []
