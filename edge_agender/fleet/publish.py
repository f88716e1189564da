"""What page, API and exports may show: hours with at least k viewers, or with nobody; and days as sums of these.

Every published figure is a sum of *published rows*. A row stands for a set of hours of one device, and no hour is in
two of them: an hour with k viewers or more, or with nobody at all, stands for itself; the others of a day are published
together as the day's rest (`hour_s` REST) once they hold k together. Contents are published by the same sets; where the
contents that are withheld from a set would follow from its total, the smallest of the others is withheld too. So
whatever is subtracted from whatever, the difference is made of sets of k and more.

A published row changes by k viewers or more, or not at all: two revisions of a day give away no few people either.
Gender and age come from the devices in multiples of their own k (docs/messages.md).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edge_agender.fleet.keeping import HOUR_S
from edge_agender.fleet.store import Database, Transaction

REST = -1
WHOLE = ""
AT_ONCE = 100
# The task's number: of several collectors one does it.
PUBLISH = 2
SUMS = (
    "covered_s", "opportunities", "viewers", "engaged", "dwell_s", "dwell_viewers", "attention_s", "attention_viewers",
    "count_s", "count_covered_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """`k`: people behind a figure at least. An hour is published `settle_s` after its end, a day's rest after that of
    the day and `settle_day_s`. `zone`: which hours make a day."""

    k: int = 5
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    settle_s: float = 600.0
    settle_day_s: float = 7200.0

    def day_of(self, utc_s: float) -> str:
        return datetime.fromtimestamp(utc_s, self.zone).date().isoformat()

    def span(self, day: str) -> tuple[int, int]:
        """Return the first hour of a day and that of the next: hours of UTC that begin in it."""
        start = datetime.fromisoformat(day).replace(tzinfo=self.zone)
        end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=self.zone)
        return _hour_from(start.timestamp()), _hour_from(end.timestamp())


def _hour_from(utc_s: float) -> int:
    return int(-(-utc_s // HOUR_S) * HOUR_S)


Sums = dict[str, Any]
Table = dict[tuple[int, str], Sums]  # (hour_s or REST, content) -> sums


def publish(database: Database, rules: Rules, now_s: float, at_once: int = AT_ONCE) -> int:
    """Publish what has settled of up to `at_once` days of devices; return of how many."""
    with database.writing() as transaction:
        if not transaction.alone(PUBLISH):
            return 0
        waiting = transaction.rows(
            "SELECT device, day FROM unpublished WHERE since_s <= :now_s ORDER BY since_s, device, day LIMIT :most",
            {"now_s": int(now_s), "most": at_once},
        )
        for device, day in waiting:
            _publish(transaction, rules, device, day, int(now_s))
    return len(waiting)


def mark(transaction: Transaction, rules: Rules, hours: Iterable[tuple[str, int]], now_s: int) -> None:
    """These hours of devices were made: their days are to be published once they have settled."""
    due: dict[tuple[str, str], int] = {}
    for device, hour_s in hours:
        key, due_s = (device, rules.day_of(hour_s)), max(now_s, int(hour_s + HOUR_S + rules.settle_s))
        due[key] = min(due.get(key, due_s), due_s)
    transaction.many(
        "INSERT INTO unpublished (device, day, since_s) VALUES (:device, :day, :due_s)"
        " ON CONFLICT (device, day) DO UPDATE SET since_s = CASE WHEN excluded.since_s < unpublished.since_s"
        " THEN excluded.since_s ELSE unpublished.since_s END",
        [{"device": device, "day": day, "due_s": due_s} for (device, day), due_s in sorted(due.items())],
    )


def _publish(transaction: Transaction, rules: Rules, device: str, day: str, now_s: int) -> None:
    first_s, end_s = rules.span(day)
    complete = now_s >= end_s + rules.settle_day_s
    hours = _hours(transaction, device, first_s, min(end_s, int(now_s - rules.settle_s - HOUR_S) + 1))
    before = _published(transaction, device, day)
    released = release(hours, before, rules.k, complete)
    _replace(transaction, device, day, released.table)
    hidden = sum(1 for hour_s in hours if (hour_s, WHOLE) not in released.table and hour_s not in released.rest)
    transaction.run(
        "INSERT INTO publication (device, day, revision, published_s, complete, hidden, held_back, rest)"
        " VALUES (:device, :day, 1, :now_s, :complete, :hidden, :held_back, :rest)"
        " ON CONFLICT (device, day) DO UPDATE SET revision = publication.revision + :changed, published_s = :now_s,"
        " complete = :complete, hidden = :hidden, held_back = :held_back, rest = :rest",
        {"device": device, "day": day, "now_s": now_s, "complete": int(complete), "hidden": hidden}
        | {
            "held_back": released.held_back,
            "changed": int(released.table != before.table),
            "rest": json.dumps([*released.rest]),
        },
    )
    again_s = None if complete else _next_s(rules, now_s, end_s)
    transaction.run("DELETE FROM unpublished WHERE device = :device AND day = :day", {"device": device, "day": day})
    if again_s is not None:
        transaction.run(
            "INSERT INTO unpublished (device, day, since_s) VALUES (:device, :day, :again_s)",
            {"device": device, "day": day, "again_s": again_s},
        )


def _next_s(rules: Rules, now_s: int, end_s: int) -> int:
    """When the next hour of an unfinished day has settled, or the day has."""
    next_hour_s = int((now_s - rules.settle_s) // HOUR_S * HOUR_S + HOUR_S + rules.settle_s)
    return next_hour_s if next_hour_s < end_s + rules.settle_s else int(end_s + rules.settle_day_s)


# -- the rules


@dataclass(frozen=True, slots=True)
class Release:
    """What is published of a day: rows, the hours that its rest is made of, and how many rows wait to be changed."""

    table: Table
    rest: frozenset[int] = frozenset()
    held_back: int = 0


def release(hours: Mapping[int, Mapping[str, Sums]], before: Release, k: int, complete: bool) -> Release:
    """Return what is published of a day from its hours by content (WHOLE: the total), after what was `before`.

    The rest is published when the day is `complete`; an hour that is in the rest stays there.
    """
    table: Table = {}
    held_back = 0
    rest: dict[int, Mapping[str, Sums]] = {}
    for hour_s, contents in sorted(hours.items()):
        publishable = _publishable(contents[WHOLE], k)
        if hour_s in before.rest or not (publishable or (hour_s, WHOLE) in before.table):
            rest[hour_s] = contents
        else:
            held_back += _put(table, before.table, hour_s, contents, k)
    together = _added([*rest.values()]) if rest else {}
    if (complete and rest and _publishable(together[WHOLE], k)) or before.rest:
        waits = _put(table, before.table, REST, together, k)
        return Release(table, before.rest if waits and before.rest else frozenset(rest), held_back + waits)
    return Release(table, frozenset(), held_back)


def _publishable(sums: Sums, k: int) -> bool:
    """Nobody, or at least k people: those who passed by are people as well."""
    return _none_or(sums["viewers"], k) and _none_or(sums["opportunities"], k)


def _protected(contents: Mapping[str, Sums], k: int) -> dict[str, Sums]:
    """Return the total and the contents that can be published beside it."""
    shown = {name: sums for name, sums in contents.items() if name != WHOLE and _none_or(sums["viewers"], k)}
    withheld = sum(sums["viewers"] for name, sums in contents.items() if name not in shown and name != WHOLE)
    if 0 < withheld < k:
        crowd = sorted((sums["viewers"], name) for name, sums in shown.items() if sums["viewers"])
        if crowd:
            del shown[crowd[0][1]]
    whole = dict(contents[WHOLE])
    if not all(_none_or(people, k) for people in _parts_of(whole)):
        whole["engaged"] = None
    return {WHOLE: whole, **shown}


def _parts_of(whole: Sums) -> list[int | None]:
    """The engaged, and the others."""
    engaged = whole["engaged"]
    return [engaged, None if engaged is None else whole["viewers"] - engaged]


def _none_or(people: int | None, k: int) -> bool:
    return people is None or people == 0 or people >= k


def _put(table: Table, before: Table, hour_s: int, contents: Mapping[str, Sums], k: int) -> int:
    """Publish a set of hours; return 1 where it stays as it was because few people are between the two.

    What is shown of a set is decided once: a content that appears later would show what earlier totals were without it.
    """
    old = {content: sums for (one, content), sums in before.items() if one == hour_s}
    new = {content: dict(contents[content]) for content in old} if old else _protected(contents, k)
    if old and old[WHOLE]["engaged"] is None:
        new[WHOLE]["engaged"] = None
    wait = bool(old) and _few_between(old, new, k)
    table.update({(hour_s, content): dict(sums) for content, sums in (old if wait else new).items()})
    return int(wait)


def _few_between(old: Mapping[str, Sums], new: Mapping[str, Sums], k: int) -> bool:
    """Whether a figure, or what follows from two of them, differs by fewer than k people."""
    changes = [new[name][count] - old[name][count] for name in old for count in ("viewers", "opportunities")]
    changes += [
        now - then for now, then in zip(_parts_of(new[WHOLE]), _parts_of(old[WHOLE]), strict=True) if then and now
    ]
    withheld = [
        sums[WHOLE]["viewers"] - sum(sums[name]["viewers"] for name in sums if name != WHOLE) for sums in (old, new)
    ]
    return not all(_none_or(abs(change), k) for change in (*changes, withheld[1] - withheld[0]))


def _added(sets: Sequence[Mapping[str, Sums]]) -> dict[str, Sums]:
    total: dict[str, Sums] = {}
    for contents in sets:
        for content, sums in contents.items():
            into = total.setdefault(content, dict.fromkeys(SUMS))
            for name in SUMS:
                if sums[name] is not None:
                    into[name] = (into[name] or 0) + sums[name]
    return total


# -- the tables


def _hours(transaction: Transaction, device: str, first_s: int, end_s: int) -> dict[int, dict[str, Sums]]:
    rows = transaction.rows(
        f"SELECT hour_s, content, {', '.join(SUMS)} FROM hour"
        " WHERE device = :device AND hour_s >= :first_s AND hour_s < :end_s",
        {"device": device, "first_s": first_s, "end_s": end_s},
    )
    found: dict[int, dict[str, Sums]] = defaultdict(dict)
    for hour_s, content, *values in rows:
        found[hour_s][content] = dict(zip(SUMS, values, strict=True))
    return {hour_s: contents for hour_s, contents in found.items() if WHOLE in contents}


def _published(transaction: Transaction, device: str, day: str) -> Release:
    key = {"device": device, "day": day}
    where = "WHERE device = :device AND day = :day"
    rows = transaction.rows(f"SELECT hour_s, content, {', '.join(SUMS)} FROM published {where}", key)
    rest = transaction.rows(f"SELECT rest FROM publication {where}", key)
    table = {(hour_s, content): dict(zip(SUMS, values, strict=True)) for hour_s, content, *values in rows}
    return Release(table, frozenset(json.loads(rest[0][0])) if rest else frozenset())


def _replace(transaction: Transaction, device: str, day: str, table: Table) -> None:
    transaction.run("DELETE FROM published WHERE device = :device AND day = :day", {"device": device, "day": day})
    transaction.many(
        f"INSERT INTO published (device, day, hour_s, content, {', '.join(SUMS)})"
        f" VALUES (:device, :day, :hour_s, :content, {', '.join(f':{name}' for name in SUMS)})",
        [
            {"device": device, "day": day, "hour_s": hour_s, "content": content, **sums}
            for (hour_s, content), sums in sorted(table.items())
        ],
    )
