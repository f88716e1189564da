"""May it measure now? Opening hours, the remote switch, and the local ones. Any of them closes the camera."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(?:(?P<days>[a-z,-]+)\s+)?(?P<from>\d{1,2}:\d\d)\s*-\s*(?P<to>\d{1,2}:\d\d)")
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """One line of opening hours: from `start_min` on each of `days` (0 is Monday) for `length_min` minutes."""

    days: frozenset[int]
    start_min: int
    length_min: int

    def contains(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        today = local.weekday() in self.days and 0 <= minute - self.start_min < self.length_min
        # Hours such as 20:00-02:00 reach into the next day.
        since_yesterday = minute + _DAY_MIN - self.start_min < self.length_min
        return today or ((local.weekday() - 1) % 7 in self.days and since_yesterday)


def parse_hours(text: str) -> Hours:
    """Read "mon-fri 08:00-20:00", "sat,sun 10:00-02:00" or "09:00-18:00" (every day); raise ValueError otherwise."""
    match = _SPAN.fullmatch(text.strip().lower())
    if not match:
        raise ValueError(f"{text!r}: write opening hours as 'mon-fri 08:00-20:00'")
    start_min, end_min = _minute(match["from"]), _minute(match["to"])
    if start_min >= _DAY_MIN or start_min == end_min:
        raise ValueError(f"{text!r}: opening hours must start before 24:00 and last a while; all day is 00:00-24:00")
    return Hours(_days(match["days"]), start_min, (end_min - start_min) % _DAY_MIN or _DAY_MIN)


def minutes_of_week(lines: Iterable[str]) -> frozenset[int]:
    """Return which minutes of a week, from Monday 00:00 on, these opening hours cover; without any, all of them."""
    spans = [parse_hours(line) for line in lines]
    week_min = len(_DAYS) * _DAY_MIN
    starts = [(day * _DAY_MIN + span.start_min, span.length_min) for span in spans for day in span.days]
    covered = {(start + minute) % week_min for start, length in starts for minute in range(length)}
    return frozenset(covered if spans else range(week_min))


def _minute(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if minute > 59 or hour * 60 + minute > _DAY_MIN:
        raise ValueError(f"{text!r} is not a time of day")
    return hour * 60 + minute


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = _day(first), _day(last or first)
        days.update((low + step) % 7 for step in range((high - low) % 7 + 1))
    return frozenset(days)


def _day(text: str) -> int:
    if text not in _DAYS:
        raise ValueError(f"{text!r} is not a day: write one of {', '.join(_DAYS)}")
    return _DAYS.index(text)
