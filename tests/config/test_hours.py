from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agender.config.hours import parse_hours
from edge_agender.device.switch import decide

MONDAY = datetime(2026, 1, 5)


def at(weekday: int, clock: str) -> datetime:
    hour, minute = clock.split(":")
    return MONDAY.replace(day=5 + weekday, hour=int(hour), minute=int(minute))


@pytest.mark.parametrize(
    ("line", "inside", "outside"),
    [
        ("mon-fri 08:00-20:00", [(0, "8:00"), (4, "19:59")], [(0, "7:59"), (0, "20:00"), (5, "12:00")]),
        ("09:00-18:00", [(6, "12:00")], [(6, "18:00")]),
        ("sat,sun 10:00-12:00", [(5, "10:30"), (6, "10:30")], [(4, "10:30")]),
        ("fri-mon 10:00-12:00", [(4, "11:00"), (6, "11:00"), (0, "11:00")], [(1, "11:00")]),
        ("fri 20:00-02:00", [(4, "23:00"), (5, "1:59")], [(5, "2:00"), (4, "1:00"), (5, "20:00")]),
        ("sun 22:00-06:00", [(0, "5:00")], [(1, "5:00")]),
        ("00:00-24:00", [(0, "0:00"), (3, "23:59")], []),
        ("mon 12:00-24:00", [(0, "23:59")], [(1, "0:00")]),
    ],
)
def test_hours(line: str, inside: list[tuple[int, str]], outside: list[tuple[int, str]]) -> None:
    hours = parse_hours(line)
    assert all(hours.contains(at(*moment)) for moment in inside)
    assert not any(hours.contains(at(*moment)) for moment in outside)


@pytest.mark.parametrize(
    "line", ["", "always", "mon", "8-20", "mon 08:00-08:00", "mon 24:00-25:00", "xyz 08:00-09:00", "08:60-09:00"]
)
def test_what_is_no_hours_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"write opening hours|is not a day|must start|is not a time"):
        parse_hours(line)


@settings(deadline=None)
@given(st.text("monfrisatsu 0123456789:-,xé\n", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_hours(text)


def test_any_one_objection_closes_and_is_named() -> None:
    hours = [parse_hours("mon 08:00-20:00")]
    noon, night = at(0, "12:00"), at(0, "22:00")
    assert decide(hours, noon, remote_enabled=True).reason == "on"
    assert decide((), night, remote_enabled=True).measuring
    for reason, state in {
        "hours": decide(hours, night, remote_enabled=True),
        "command": decide(hours, noon, remote_enabled=False),
        "file": decide(hours, noon, remote_enabled=True, file_off=True),
        "pin": decide(hours, noon, remote_enabled=True, pin_off=True),
    }.items():
        assert state.reason == reason
        assert not state.measuring


def test_a_local_switch_does_not_forget_the_remote_one() -> None:
    assert decide((), MONDAY, remote_enabled=False, file_off=True).enabled is False
    assert decide((), MONDAY, remote_enabled=True, file_off=True).enabled is True
