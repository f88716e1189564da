"""Each measurement counts once: copies, contradictions, gaps and what devices say of themselves."""

from __future__ import annotations

import random

from edge_agender.fleet.intake import read
from edge_agender.fleet.keeping import keep
from edge_agender.fleet.publish import Rules
from edge_agender.fleet.records import Record, Refused
from edge_agender.fleet.retention import delete_old
from edge_agender.fleet.rollup import differing_hours, roll_up_all
from edge_agender.fleet.settings import KeepConfig
from edge_agender.fleet.store import Database
from tests.fleet.messages import MIDNIGHT_S, NOW_S, PREFIX, arrival, demographics, health, record, status, window


def rows(database: Database, sql: str) -> list[tuple[object, ...]]:
    with database.reading() as transaction:
        return transaction.rows(sql)


def state(payload: dict[str, object]) -> Record:
    found = read(arrival(payload), PREFIX)
    assert found is not None
    return found


def test_a_copy_is_stored_once_also_within_a_batch(database: Database) -> None:
    outcome = keep(database, [record(window(0)), record(window(0)), record(window(1))], NOW_S)
    outcome.add(keep(database, [record(window(1, historical=True))], NOW_S))
    assert (outcome.stored["window"], outcome.copies, outcome.conflicts) == (2, 2, 0)
    assert rows(database, "SELECT sum(viewers) FROM audience_window") == [(12,)]


def test_a_measurement_that_two_boots_deliver_counts_once(database: Database) -> None:
    keep(database, [record(window(7))], NOW_S)
    outcome = keep(database, [record(window(0, number=7, boot_id="the-next-boot"))], NOW_S)
    assert (outcome.copies, outcome.conflicts) == (1, 0)


def test_two_devices_of_one_name_show_as_a_contradiction_and_the_first_stays(database: Database) -> None:
    keep(database, [record(window(0, viewers=6))], NOW_S)
    outcome = keep(
        database, [record(window(0, viewers=9)), record(window(0, viewers=8, boot_id="another-boot"))], NOW_S
    )
    assert outcome.conflicts == 2
    assert rows(database, "SELECT viewers FROM audience_window") == [(6,)]
    assert len(rows(database, "SELECT reason FROM conflict")) == 2


def test_a_window_set_back_by_the_clock_counts_beside_the_first(database: Database) -> None:
    """Equal starts with different numbers are two windows (docs/messages.md)."""
    first, second = window(0, number=0), window(1, number=1) | {"start": window(0)["start"]}
    assert keep(database, [record(first), record(second)], NOW_S).stored["window"] == 2


def test_gaps_open_split_and_heal(database: Database) -> None:
    gaps = "SELECT first, last FROM gap ORDER BY first"
    keep(database, [record(window(0)), record(window(9))], NOW_S)
    assert rows(database, gaps) == [(1, 8)]
    keep(database, [record(window(4))], NOW_S + 1)
    assert rows(database, gaps) == [(1, 3), (5, 8)]
    assert rows(database, "SELECT DISTINCT found_s FROM gap") == [(NOW_S,)]
    keep(database, [record(window(number)) for number in (1, 2, 3, 5, 6, 7, 8)], NOW_S + 2)
    assert rows(database, gaps) == []


def test_the_last_message_of_a_boot_is_missed_when_health_says_that_it_was_sent(database: Database) -> None:
    keep(database, [record(window(0)), state(health({"window": 2, "demographics": 0}))], NOW_S)
    assert rows(database, "SELECT kind, first, last FROM gap ORDER BY kind") == [
        ("demographics", 0, 0),
        ("window", 1, 2),
    ]


def test_demographics_are_stored_cell_by_cell(database: Database) -> None:
    cells = {("cola", "female", "25-34"): 10, ("cola", "male", "25-34"): 5, (None, "female", "65+"): 0}
    keep(database, [record(demographics(0, cells))], NOW_S)
    found = rows(database, "SELECT content, gender, age_band, viewers FROM audience_cell ORDER BY viewers")
    assert found == [("", "female", "65+", 0), ("cola", "male", "25-34", 5), ("cola", "female", "25-34", 10)]


def test_the_last_word_of_a_device_is_kept(database: Database) -> None:
    keep(database, [state(status("online")), state(health({}, alarms=["the camera is covered"]))], NOW_S)
    keep(database, [state(status("offline"))], NOW_S + 1)
    assert rows(database, "SELECT state, software, alarms FROM device") == [
        ("offline", "0.1.0", '["the camera is covered"]')
    ]


def test_what_is_refused_is_kept_aside_with_its_reason(database: Database) -> None:
    keep(database, [Refused("edge-agender/x\x00/window", b"\x00\xff", 1.0, "not UTF-8 text")], NOW_S)
    assert rows(database, "SELECT reason, payload FROM refused") == [("not UTF-8 text", b"\x00\xff")]


def test_late_and_repeated_messages_leave_no_hour_that_differs_from_recomputation(database: Database) -> None:
    """20 % late, 5 % copies, in batches of any size: only marked hours are made again, and all are right."""
    luck = random.Random(17)
    sent = [window(number, viewers=luck.randrange(12)) for number in range(600)]
    late = [payload | {"historical": True} for payload in sent if luck.random() < 0.2]
    known = {payload["sequence"] for payload in late}
    stream = [payload for payload in sent if payload["sequence"] not in known]
    stream += [payload | {"historical": True} for payload in sent if luck.random() < 0.05]
    for payload in late:
        stream.insert(luck.randrange(len(stream)), payload)
    while stream:
        size = luck.randrange(1, 40)
        keep(database, [record(payload) for payload in stream[:size]], NOW_S)
        stream = stream[size:]
        if luck.random() < 0.3:
            roll_up_all(database, Rules(), NOW_S)
    roll_up_all(database, Rules(), NOW_S)
    assert differing_hours(database) == []
    total = sum(payload["viewers"] for payload in sent)
    assert rows(database, "SELECT sum(viewers), sum(windows) FROM hour WHERE content = ''") == [(total, 600)]


def test_a_difference_would_be_found(database: Database) -> None:
    keep(database, [record(window(number)) for number in range(5)], NOW_S)
    roll_up_all(database, Rules(), NOW_S)
    with database.writing() as transaction:
        transaction.run("UPDATE hour SET viewers = viewers + 1 WHERE content = ''")
    assert len(differing_hours(database)) == 1


def test_what_is_old_goes_kind_by_kind_and_hours_stay(database: Database) -> None:
    keep(database, [record(window(number), NOW_S) for number in (0, 1, 4 * 1440)], NOW_S)
    roll_up_all(database, Rules(), NOW_S)
    limits = KeepConfig(raw_days=1, window_days=8)
    while delete_old(database, limits, MIDNIGHT_S + 11 * 86400 + 7200):
        pass
    assert rows(database, "SELECT count(*) FROM message") == [(0,)]
    assert rows(database, "SELECT number FROM audience_window") == [(4 * 1440,)]
    assert rows(database, "SELECT count(*) FROM audience_content") == [(1,)]
    assert rows(database, "SELECT sum(windows) FROM hour WHERE content = ''") == [(3,)]


def test_a_copy_of_what_was_deleted_is_a_copy_all_the_same(database: Database) -> None:
    keep(database, [record(window(0), NOW_S)], NOW_S)
    while delete_old(database, KeepConfig(raw_days=0.1, window_days=0.1), NOW_S + 86400):
        pass
    outcome = keep(database, [record(window(0))], NOW_S + 86400)
    assert (outcome.stored["window"], outcome.copies) == (0, 1)
