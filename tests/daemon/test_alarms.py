"""What is wrong, since when: kept while it lasts, whatever the clock does, and a day without anybody."""

from __future__ import annotations

import pytest

from edge_agender.daemon.alarms import QUIET, Alarms, Quiet

DAY_S, UTC_S = 86_400, 1_795_996_800.0
HOUR_S = 3600


def watch(quiet: Quiet, from_s: float, hours: float, *, people: bool = False, watching: bool = True) -> None:
    for now_s in range(int(from_s), int(from_s + hours * HOUR_S) + 1, 60):
        quiet.note(float(now_s), UTC_S + now_s, people=people, watching=watching)


def test_an_alarm_keeps_its_beginning_also_where_the_clock_is_set() -> None:
    alarms = Alarms()
    alarms.note(100.0, 0.0, ["no camera"], people=False, watching=False)
    alarms.note(160.0, UTC_S, ["no camera", "disk full"], people=False, watching=False)
    first, second = alarms.listed(160.0, UTC_S)
    assert (first.text, first.since_utc_s) == ("no camera", UTC_S - 60)
    assert (second.text, second.since_utc_s) == ("disk full", UTC_S)
    alarms.note(170.0, UTC_S + 10, ["disk full"], people=False, watching=True)
    alarms.note(180.0, UTC_S + 20, ["no camera", "disk full"], people=False, watching=False)
    assert [each.since_utc_s for each in alarms.listed(180.0, UTC_S + 20)] == [UTC_S + 20, UTC_S]


def test_what_is_switched_on_stays_until_it_is_switched_off() -> None:
    alarms = Alarms()
    alarms.switch("refused", on=True)
    for now_s in (1.0, 2.0):
        alarms.note(now_s, UTC_S + now_s, [], people=False, watching=True)
    assert [each.since_utc_s for each in alarms.listed(2.0, UTC_S + 2.0)] == [UTC_S + 1.0]
    alarms.switch("refused", on=False)
    alarms.note(3.0, UTC_S + 3.0, [], people=False, watching=True)
    assert alarms.listed(3.0, UTC_S + 3.0) == ()


def test_a_day_without_anybody_is_an_alarm_since_the_hour_of_the_last() -> None:
    alarms = Alarms()
    alarms.note(1800.0, UTC_S + 1800, [], people=True, watching=True)
    for now_s in range(1860, DAY_S + 1800, 60):
        alarms.note(float(now_s), UTC_S + now_s, [], people=False, watching=True)
    assert alarms.listed(DAY_S + 1740.0, UTC_S + DAY_S + 1740) == ()
    alarms.note(DAY_S + 1800.0, UTC_S + DAY_S + 1800, [], people=False, watching=True)
    (alarm,) = alarms.listed(DAY_S + 1800.0, UTC_S + DAY_S + 1800)
    assert (alarm.text, alarm.since_utc_s) == (QUIET, UTC_S)
    alarms.note(DAY_S + 1860.0, UTC_S + DAY_S + 1860, [], people=True, watching=True)
    assert alarms.listed(DAY_S + 1860.0, UTC_S + DAY_S + 1860) == ()


def test_a_closed_weekend_is_no_quiet_day_and_a_restart_begins_none_anew() -> None:
    quiet = Quiet()
    watch(quiet, 0, 0, people=True)
    watch(quiet, 0, 60, watching=False)
    assert quiet.since_utc_s is None
    again = Quiet()
    again.restore(quiet.snapshot())
    watch(again, 60 * HOUR_S, 5.9)
    assert again.since_utc_s is None
    watch(again, 65.9 * HOUR_S, 0.2)
    assert again.since_utc_s == UTC_S


def test_a_clock_that_is_set_makes_no_day() -> None:
    quiet = Quiet()
    for now_s in range(0, 10 * HOUR_S, 60):
        quiet.note(float(now_s), now_s if now_s < 300 else UTC_S + now_s, people=False, watching=True)
    assert quiet.since_utc_s is None


def restarted(utc_s: float) -> Quiet:
    """The last visitor came at UTC_S and the camera watched for seven hours after that; then the power went."""
    before, quiet = Quiet(), Quiet()
    watch(before, 0, 0, people=True)
    watch(before, 60, 7)
    quiet.restore(before.snapshot())
    quiet.note(0.0, utc_s, people=False, watching=True)
    return quiet


def test_a_clock_that_starts_in_the_past_and_is_set_moves_no_visitor_into_the_future() -> None:
    quiet = restarted(UTC_S - 3 * DAY_S)
    quiet.note(60.0, UTC_S + 23.9 * HOUR_S, people=False, watching=True)
    assert quiet.since_utc_s is None
    quiet.note(660.0, UTC_S + DAY_S + 240, people=False, watching=True)
    assert quiet.since_utc_s == UTC_S


def test_a_day_of_watching_is_a_day_where_the_clock_is_never_set() -> None:
    quiet = restarted(UTC_S - 30 * DAY_S)
    for now_s in range(0, 18 * HOUR_S, 60):
        quiet.note(float(now_s), UTC_S - 30 * DAY_S + now_s, people=False, watching=True)
    assert quiet.since_utc_s is not None
    assert quiet.since_utc_s <= UTC_S - 30 * DAY_S


@pytest.mark.parametrize("damaged", [[], {"seen_utc_s": 1}, {"seen_utc_s": "x", "watched_s": 0}, "soon"])
def test_a_snapshot_that_is_none_is_refused(damaged: object) -> None:
    with pytest.raises(ValueError, match=r"number was expected|cannot be read"):
        Quiet().restore(damaged)  # type: ignore[arg-type]
