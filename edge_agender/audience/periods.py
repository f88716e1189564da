"""Demographics: who the viewers of a period were, by fractions, and what is carried to the next period.

A viewer of 33 ± 6 years is partly in each band that this allows, partly female and partly male. So sums of many come
out right where hard bands put the whole error of every estimate into the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.measures import CellKey, Demographics, Visit
from edge_agender.audience.rounding import round_cells
from edge_agender.audience.shares import deviation
from edge_agender.audience.spans import Closed, Kind, Spans, number, whole
from edge_agender.audience.tally import MOST_CONTENTS

# Fractions of one viewer sum to 1 within this.
_TOLERANCE = 1e-3
# A part of a viewer that need not be carried on.
_NOTHING = 1e-9

Sums = dict[CellKey, float]


@dataclass
class PeriodTally:
    """One period's viewers, and their fractions by content, gender and age band.

    `min_cell` is what was promised to those who came: published coarser it may be later, never finer.
    """

    number: int = 0
    min_cell: int = 1
    covered_s: float = 0.0
    viewers: int = 0
    sums: Sums = field(default_factory=dict)

    def add(self, content: str | None, cells: Mapping[tuple[str, str], float]) -> None:
        """Take in a viewer; `cells` sum to 1."""
        self.viewers += 1
        contents = {key.content for key in self.sums}
        if content not in contents and len(contents) >= MOST_CONTENTS:
            content = None
        for (gender, band), part in cells.items():
            key = CellKey(content, gender, band)
            self.sums[key] = self.sums.get(key, 0.0) + part


def to_plain(tally: PeriodTally) -> dict[str, Any]:
    """Return the tally in JSON's types."""
    return {**vars(tally), "sums": _sums_to_plain(tally.sums)}


def from_plain(data: Mapping[str, Any]) -> PeriodTally:
    """Return the tally that to_plain gave; raise ValueError for anything else."""
    try:
        tally = PeriodTally(whole(data["number"]), whole(data["min_cell"], 1), number(data["covered_s"]))
        tally.viewers, tally.sums = whole(data["viewers"]), _sums_from_plain(data["sums"], 0.0)
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a period's state: {error!r}") from None
    _check(tally.sums, tally.viewers)
    return tally


class Periods:
    """Counts viewers into clock-aligned periods and rounds the cells of each when it is over.

    `chance` returns a number from [0, 1) that nobody outside can foresee.
    """

    def __init__(
        self,
        length_s: int,
        grace_s: float,
        bands: AgeBands,
        *,
        min_cell: int,
        by_content: bool,
        chance: Callable[[], float],
    ) -> None:
        self._bands, self._min_cell, self._by_contents, self._chance = bands, min_cell, by_content, chance
        kind = Kind(lambda number: PeriodTally(number, min_cell), to_plain, from_plain)
        self._spans = Spans(length_s, grace_s, kind)
        self._carried, self._withheld = Sums(), 0
        # With which min_cell the carried ones were left behind.
        self._carried_min_cell = min_cell

    def watch(self, utc_s: float, now_s: float) -> None:
        """A frame was watched; `now_s` is monotonic."""
        for tally, seconds in self._spans.watched(utc_s, now_s):
            tally.covered_s += seconds

    def leave(self, visit: Visit) -> None:
        """Take in a visit that is over; only viewers count."""
        if visit.is_viewer:
            content = _longest(visit) if self._by_contents else None
            self._spans.at(visit.last_utc_s).add(content, self._bands.fractions(visit.estimate))

    def due(self, utc_s: float) -> list[Demographics]:
        """Return the periods that are complete, oldest first, each once."""
        return [self._rounded(closed) for closed in self._spans.due(utc_s)]

    def cut(self) -> None:
        """End what is open now: the same start may come again."""
        self._spans.cut()

    def go_on_from(self, before: Periods) -> None:
        """Cover the time since the last frame of others that this process counted with until now."""
        self._spans.go_on_from(before._spans)

    def snapshot(self) -> dict[str, Any]:
        """Return all that a new process needs to go on, in JSON's types."""
        carried = {"withheld": self._withheld, "carried": _sums_to_plain(self._carried)}
        return {**self._spans.snapshot(), **carried, "carried_min_cell": self._carried_min_cell}

    def restore(self, snapshot: Mapping[str, Any], utc_s: float) -> None:
        """Go on from another process's snapshot; raise ValueError, with nothing changed, where it cannot be used."""
        spans = self._spans.restored(snapshot, utc_s)
        try:
            withheld, carried = whole(snapshot["withheld"]), _sums_from_plain(snapshot["carried"], -1e12)
            min_cell = whole(snapshot["carried_min_cell"], 1)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the demographics' state cannot be read: {error!r}") from None
        _check(carried, withheld)
        self._spans, self._carried, self._withheld, self._carried_min_cell = spans, carried, withheld, min_cell

    def _rounded(self, closed: Closed[PeriodTally]) -> Demographics:
        """Return what is published. Each content is rounded alone: how many viewers it had may be known."""
        tally, brought = closed.tally, self._withheld
        min_cell, cells = max(self._min_cell, tally.min_cell), dict[CellKey, int]()
        sums, carried = self._by_content(tally.sums), self._by_content(self._carried)
        finer = min_cell < self._carried_min_cell
        self._carried, self._carried_min_cell = Sums(), min_cell
        for content in _recent(carried, sums):
            order = [CellKey(content, *cell) for cell in self._bands.cells]
            now, before = _into(order, sums.get(content, {})), _into(order, carried.get(content, {}))
            if finer:
                # Who they were was withheld for good: only that they came is left of them.
                before = dict.fromkeys(order, sum(before.values()) / len(order))
            people = round(sum(now.values()) + sum(before.values()))
            published, left = round_cells(now, before, people, min_cell, order, self._chance)
            cells |= published
            self._carried |= {key: part for key, part in left.items() if abs(part) > _NOTHING}
        viewers = tally.viewers + brought
        self._withheld = viewers - sum(cells.values())
        return Demographics(
            number=tally.number,
            start_utc_s=closed.start_utc_s,
            length_s=closed.length_s,
            historical=closed.historical,
            covered_s=min(tally.covered_s, closed.length_s),  # a clock set back covers a time twice
            viewers=tally.viewers,
            brought_forward=brought,
            withheld=self._withheld,
            min_cell=min_cell,
            cells=_published(cells, min_cell),
        )

    def _by_content(self, sums: Sums) -> dict[str | None, Sums]:
        """Return sums apart by content; all under None where the table is not split any more."""
        parts: dict[str | None, Sums] = {}
        for key, part in sums.items():
            content = key.content if self._by_contents else None
            cells = parts.setdefault(content, {})
            cells[key] = cells.get(key, 0.0) + part
        return parts


def _recent(carried: dict[str | None, Sums], now: dict[str | None, Sums]) -> list[str | None]:
    """Return the contents to publish, by name; what was carried for others than the latest goes to no content."""
    kept = [*now, *(content for content in carried if content not in now)][:MOST_CONTENTS]
    for content in [content for content in carried if content not in kept]:
        nowhere = carried.setdefault(None, {})
        for key, part in carried.pop(content).items():
            nowhere[key] = nowhere.get(key, 0.0) + part
    return sorted({*kept, *carried} or {None}, key=lambda content: content or "")


def _longest(visit: Visit) -> str | None:
    """Return the content that was on for the longest part of the visit; None where most of it had none."""
    if not visit.content:
        return None
    longest = max(visit.content, key=lambda share: share.dwell_s)
    without_s = visit.dwell_s - sum(share.dwell_s for share in visit.content)
    return longest.id if longest.dwell_s >= without_s else None


def _into(order: Sequence[CellKey], sums: Sums) -> Sums:
    """Return sums by the cells of now. What belongs to none of them, as other bands were configured, is shared out."""
    parts = dict.fromkeys(order, 0.0)
    for key, part in sums.items():
        fits = [cell for cell in order if cell[1:] == key[1:]] or [cell for cell in order if cell.gender == key.gender]
        for cell in fits or order:
            parts[cell] += part / len(fits or order)
    return parts


def _published(cells: Mapping[CellKey, int], min_cell: int) -> tuple[tuple[CellKey, int, float], ...]:
    """Return the cells with their deviation; of a content of which nothing is published, none.

    Where nothing at all is published, no content is named: one that is named would have had a viewer.
    """
    by_content = Counter[str | None]()
    for key, viewers in cells.items():
        by_content[key.content] += viewers
    total = sum(cells.values())
    shown = {content for content, viewers in by_content.items() if viewers}
    nothing = dict.fromkeys((CellKey(None, key.gender, key.age_band) for key in cells), 0)
    published = {key: viewers for key, viewers in cells.items() if key.content in shown} or nothing
    return tuple((key, viewers, deviation(viewers, total, min_cell)) for key, viewers in published.items())


def _sums_to_plain(sums: Sums) -> list[list[Any]]:
    return [[key.content, key.gender, key.age_band, part] for key, part in sums.items()]


def _sums_from_plain(data: Any, least: float) -> Sums:
    """Raises ValueError or TypeError for what to_plain did not give."""
    sums = Sums()
    for content, gender, band, part in data:
        if not all(isinstance(each, str) for each in (content or "", gender, band)):
            raise ValueError("not a cell of the demographics")
        sums[CellKey(content, gender, band)] = number(part, least)
    return sums


def _check(sums: Sums, viewers: int) -> None:
    if abs(sum(sums.values()) - viewers) > _TOLERANCE * (viewers + 1):
        raise ValueError("the demographics' state contradicts itself: its cells do not sum to its viewers")
