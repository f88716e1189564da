"""What page, API and exports show: sums of published rows, and of the cells that devices send.

Filters are one device, one site, one content, one gender, one age band, or none: never a list of devices, whose
neighbours would differ by one. That is for clearness; privacy does not rest on it, but on publish.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from edge_agender.errors import UsageError
from edge_agender.fleet.publish import REST, Rules
from edge_agender.fleet.store import Database

AudienceBy = Literal["hour", "day", "site", "device", "content"]
PeopleBy = Literal["hour", "day", "site", "device", "content", "gender", "age_band"]
MOST_DAYS = 400
AUDIENCE_COLUMNS = (
    "viewers", "opportunities", "engaged", "engaged_share", "dwell_mean_s", "attention_mean_s", "mean_count",
    "covered_h",
)  # fmt: skip
PEOPLE_COLUMNS = ("viewers", "sd")
_AUDIENCE = {
    "hour": "published.hour_s",
    "day": "published.day",
    "site": "device.site",
    "device": "published.device",
    "content": "published.content",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; None: all. `tenant` '' is every tenant. Days are inclusive, 2026-01-31."""

    first_day: str
    last_day: str
    tenant: str = ""
    site: str | None = None
    device: str | None = None
    content: str | None = None
    gender: str | None = None
    age_band: str | None = None

    def check(self) -> None:
        """Raise UsageError for days that are none, in the wrong order, or too many."""
        try:
            days = (date.fromisoformat(self.last_day) - date.fromisoformat(self.first_day)).days
        except ValueError:
            raise UsageError("days are written as 2026-01-31") from None
        if not 0 <= days < MOST_DAYS:
            raise UsageError(f"ask for 1 to {MOST_DAYS} days, the first one first")

    def params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def audience(database: Database, filters: Filters, by: Sequence[AudienceBy]) -> list[dict[str, Any]]:
    """Return totals by what is asked for. The rest of a day, its quiet hours together, has the hour None."""
    filters.check()
    shown = [_AUDIENCE[name] for name in by]
    where = ["published.day >= :first_day", "published.day <= :last_day", *_of_devices(filters)]
    if "content" in by:
        where.append("published.content <> ''")
    else:
        where.append("published.content = :content" if filters.content else "published.content = ''")
    if filters.content and "content" in by:
        where.append("published.content = :content")
    sums = (
        "sum(covered_s), sum(opportunities), sum(viewers), sum(engaged),"
        " sum(CASE WHEN engaged IS NOT NULL THEN viewers END), sum(dwell_s), sum(dwell_viewers), sum(attention_s),"
        " sum(attention_viewers), sum(count_s), sum(count_covered_s)"
    )
    group = f" GROUP BY {', '.join(shown)} ORDER BY {', '.join(shown)}" if shown else ""
    query = (
        f"SELECT {', '.join([*shown, sums])} FROM published JOIN device ON device.name = published.device"
        f" WHERE {' AND '.join(where)}{group}"
    )
    with database.reading() as transaction:
        rows = transaction.rows(query, filters.params())
    return [_audience_row(by, row, by_content="content" in by or bool(filters.content)) for row in rows]


def _of_devices(filters: Filters) -> list[str]:
    return [
        *(["device.tenant = :tenant"] if filters.tenant else []),
        *(["device.site = :site"] if filters.site is not None else []),
        *(["device.name = :device"] if filters.device is not None else []),
    ]


def _audience_row(by: Sequence[str], row: Sequence[Any], by_content: bool) -> dict[str, Any]:
    keys = dict(zip(by, row[: len(by)], strict=True))
    if keys.get("hour") == REST:
        keys["hour"] = None
    numbers = [None if value is None else float(value) for value in row[len(by) :]]
    covered, passed, viewers, engaged, engaged_of, dwell, dwell_of, looked, looked_of, count, count_of = numbers
    return {
        **keys,
        "viewers": _whole(viewers),
        # A device counts who passes by the screen, not by one of its contents.
        "opportunities": None if by_content else _whole(passed),
        "engaged": _whole(engaged),
        "engaged_share": _ratio(engaged, engaged_of, 3),
        "dwell_mean_s": _ratio(dwell, dwell_of, 1),
        "attention_mean_s": _ratio(looked, looked_of, 1),
        "mean_count": _ratio(count, count_of, 2),
        "covered_h": None if covered is None else round(covered / 3600, 2),
    }


def people(database: Database, rules: Rules, filters: Filters, by: Sequence[PeopleBy]) -> list[dict[str, Any]]:
    """Return viewers by gender, age and what else is asked for, with one standard deviation (`sd`).

    Only tables whose own k is not below ours: a device that publishes smaller cells is left out. The deviations of
    periods and cells are added as independent ones; what the models have in common, a bias, is not in them.
    """
    filters.check()
    first_s = rules.span(filters.first_day)[0]
    end_s = rules.span(filters.last_day)[1]
    shown = {
        **{"site": "device.site", "device": "cell.device", "content": "cell.content"},
        **{"gender": "cell.gender", "age_band": "cell.age_band"},
        "hour": "cell.start_s - cell.start_s % 3600",
        "day": _day_number(rules, filters),
    }
    where = ["cell.start_s >= :first_s", "cell.start_s < :end_s", "whole.min_cell >= :k", *_of_devices(filters)]
    for name in ("content", "gender", "age_band"):
        if getattr(filters, name) is not None:
            where.append(f"cell.{name} = :{name}")
    chosen = [shown[name] for name in by]
    group = f" GROUP BY {', '.join(chosen)} ORDER BY {', '.join(chosen)}" if chosen else ""
    query = (
        f"SELECT {', '.join([*chosen, 'sum(cell.viewers)', 'sum(cell.sd * cell.sd)'])} FROM audience_cell AS cell"
        " JOIN audience_demographics AS whole"
        " ON whole.device = cell.device AND whole.start_s = cell.start_s AND whole.number = cell.number"
        f" JOIN device ON device.name = cell.device WHERE {' AND '.join(where)}{group}"
    )
    with database.reading() as transaction:
        rows = transaction.rows(query, filters.params() | {"first_s": first_s, "end_s": end_s, "k": rules.k})
    found = [_people_row(by, row) for row in rows]
    for row in found:
        if "day" in row:
            row["day"] = (date.fromisoformat(filters.first_day) + timedelta(days=int(row["day"]))).isoformat()
    return found


def _day_number(rules: Rules, filters: Filters) -> str:
    """An expression for the days since the first one: where each begins is known, whatever the zone's clock does."""
    first = date.fromisoformat(filters.first_day)
    count = (date.fromisoformat(filters.last_day) - first).days + 1
    starts = [rules.span((first + timedelta(days=number)).isoformat())[0] for number in range(count)]
    if all(start == starts[0] + 86400 * number for number, start in enumerate(starts)):
        return f"(cell.start_s - {starts[0]}) / 86400"
    cases = " ".join(f"WHEN cell.start_s >= {start} THEN {number}" for number, start in reversed([*enumerate(starts)]))
    return f"CASE {cases} END"


def _people_row(by: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    viewers, variance = row[len(by) :]
    return {
        **dict(zip(by, row[: len(by)], strict=True)),
        "viewers": _whole(viewers),
        "sd": None if variance is None else round(math.sqrt(float(variance)), 1),
    }


def quantities(database: Database, filters: Filters, zone: ZoneInfo, play_s: float) -> list[dict[str, Any]]:
    """Return OpenRTB's imp.qty by device and hour of the day: viewers during one play of so many seconds.

    Divided by the seconds watched, so that hours of darkness do not count as empty (docs/messages.md).
    """
    totals: dict[tuple[str, int], list[float]] = {}
    for row in audience(database, filters, ("device", "hour")):
        if row["hour"] is not None and row["covered_h"]:
            key = (row["device"], datetime.fromtimestamp(row["hour"], zone).hour)
            total = totals.setdefault(key, [0.0, 0.0])
            total[0] += row["viewers"]
            total[1] += row["covered_h"] * 3600
    return [
        {"device": device, "hour": hour, "qty": {"multiplier": round(viewers / covered * play_s, 3), "sourcetype": 2}}
        for (device, hour), (viewers, covered) in sorted(totals.items())
    ]


def coverage(database: Database, filters: Filters) -> dict[str, Any]:
    """Return what is not in the sums, and why: hours of few people, changes that wait, days that are not complete."""
    where = ["day >= :first_day", "day <= :last_day", *_of_devices(filters)]
    with database.reading() as transaction:
        rows = transaction.rows(
            "SELECT count(*), coalesce(sum(hidden), 0), coalesce(sum(held_back), 0), coalesce(sum(1 - complete), 0),"
            " max(published_s), max(revision) FROM publication JOIN device ON device.name = publication.device"
            f" WHERE {' AND '.join(where)}",
            filters.params(),
        )
    days, hidden, held_back, incomplete, published_s, revision = rows[0]
    return {
        "device_days": int(days),
        "hours_of_few": int(hidden),
        "changes_waiting": int(held_back),
        "incomplete_days": int(incomplete),
        "published_s": published_s,
        "revision": revision,
    }


def _whole(value: Any) -> int | None:
    return None if value is None else round(float(value))


def _ratio(part: float | None, whole: float | None, digits: int) -> float | None:
    return round(part / whole, digits) if part is not None and whole else None
