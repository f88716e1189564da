"""Hours from windows. Only hours that something came for are made again, in full: the same as making all of them again.

Sums add up; what is a mean is kept as its integral over the seconds covered, and divided when it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_agender.fleet.keeping import HOUR_S
from edge_agender.fleet.publish import Rules, mark
from edge_agender.fleet.store import Database, Transaction

# Hours made in one transaction: the collector waits for its end.
AT_ONCE = 200
# The task's number: of several collectors one does it.
ROLL_UP = 1
_VALUES = (
    "windows", "covered_s", "opportunities", "viewers", "engaged", "dwell_s", "dwell_viewers", "attention_s",
    "attention_viewers", "glances", "count_s", "count_covered_s", "peak", "light_s",
)  # fmt: skip
_SPAN = "device = :device AND start_s >= :hour_s AND start_s < :end_s"
_WHOLE = f"""
SELECT '' AS content, count(*), coalesce(sum(covered_s), 0), coalesce(sum(opportunities), 0), coalesce(sum(viewers), 0),
  sum(engaged), coalesce(sum(dwell_s), 0), coalesce(sum(CASE WHEN dwell_s IS NOT NULL THEN viewers END), 0),
  coalesce(sum(attention_s), 0), coalesce(sum(attention_viewers), 0), coalesce(sum(glances), 0),
  coalesce(sum(mean_count * covered_s), 0),
  coalesce(sum(CASE WHEN mean_count IS NOT NULL THEN covered_s END), 0), max(peak), sum(light * covered_s)
FROM audience_window WHERE {_SPAN} HAVING count(*) > 0
"""
# Time without content, or with contents that the device merged, has no name: it is in the whole.
_BY_CONTENT = f"""
SELECT content, count(*), coalesce(sum(shown_s), 0), 0, coalesce(sum(viewers), 0), CAST(NULL AS BIGINT),
  coalesce(sum(dwell_s), 0), coalesce(sum(CASE WHEN dwell_s IS NOT NULL THEN viewers END), 0),
  coalesce(sum(attention_s), 0), coalesce(sum(CASE WHEN attention_s IS NOT NULL THEN viewers END), 0), 0,
  coalesce(sum(dwell_s), 0), coalesce(sum(CASE WHEN dwell_s IS NOT NULL THEN shown_s END), 0),
  CAST(NULL AS BIGINT), CAST(NULL AS DOUBLE PRECISION)
FROM audience_content WHERE {_SPAN} AND content <> '' GROUP BY content ORDER BY content
"""
# The sums stay in the database: 10,000 devices mark 167 hours a second.
_MAKE = f"""
INSERT INTO hour (content, {", ".join(_VALUES)}, device, hour_s, revision, updated_s)
SELECT made.*, :device, :hour_s, 1, :now_s FROM ({{sums}}) AS made WHERE true
ON CONFLICT (device, hour_s, content) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _VALUES)},
  revision = hour.revision + 1, updated_s = excluded.updated_s
"""


def roll_up(database: Database, rules: Rules, now_s: float, at_once: int = AT_ONCE) -> int:
    """Make up to `at_once` of the marked hours; return how many were made. 0: nothing is marked."""
    with database.writing() as transaction:
        if not transaction.alone(ROLL_UP):
            return 0
        marked = transaction.rows(
            "SELECT device, hour_s FROM dirty ORDER BY since_s, device, hour_s LIMIT :most", {"most": at_once}
        )
        # The mark goes first: whoever is storing something for this hour holds it (keeping.py), so that what is read
        # after that is complete; and in the order in which they take them.
        hours = [{**_span(device, hour_s), "now_s": int(now_s)} for device, hour_s in sorted(marked)]
        transaction.many("DELETE FROM dirty WHERE device = :device AND hour_s = :hour_s", hours)
        for sums in (_WHOLE, _BY_CONTENT):
            transaction.many(_MAKE.format(sums=sums), hours)
        mark(transaction, rules, marked, int(now_s))
    return len(marked)


def roll_up_all(database: Database, rules: Rules, now_s: float) -> int:
    """Make hours until none is marked; return how many were made."""
    made = 0
    while done := roll_up(database, rules, now_s):
        made += done
    return made


def hour_values(transaction: Transaction, device: str, hour_s: int) -> list[tuple[Any, ...]]:
    """Return (content, values ...) of an hour as its windows say, the whole first under the content ''."""
    span = _span(device, hour_s)
    return transaction.rows(_WHOLE, span) + transaction.rows(_BY_CONTENT, span)


def _span(device: str, hour_s: int) -> dict[str, Any]:
    return {"device": device, "hour_s": hour_s, "end_s": hour_s + HOUR_S}


def differing_hours(database: Database) -> list[tuple[str, int]]:
    """Return every hour whose roll-up is not what its windows say: none, unless something is broken."""
    names = ", ".join(_VALUES)
    with database.reading() as transaction:
        devices = transaction.rows(
            f"SELECT DISTINCT device, start_s - start_s % {HOUR_S} FROM audience_window"
            " UNION SELECT device, hour_s FROM hour"
        )
        differing = []
        for device, hour_s in devices:
            stored = transaction.rows(
                f"SELECT content, {names} FROM hour WHERE device = :device AND hour_s = :hour_s ORDER BY content",
                {"device": device, "hour_s": hour_s},
            )
            if not _alike(stored, hour_values(transaction, device, hour_s)):
                differing.append((device, hour_s))
    return differing


def _alike(one: Sequence[tuple[Any, ...]], other: Sequence[tuple[Any, ...]]) -> bool:
    """Equal, but for the order in which floats were added."""

    def near(a: Any, b: Any) -> bool:
        if a is None or b is None or isinstance(a, str):
            return bool(a == b)
        return abs(float(a) - float(b)) <= 1e-6 * max(1.0, abs(float(a)))

    return len(one) == len(other) and all(
        len(a) == len(b) and all(map(near, a, b)) for a, b in zip(one, other, strict=True)
    )
