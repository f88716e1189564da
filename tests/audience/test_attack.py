"""An outsider who knows the rule, keeps every message and tries every audience that could have caused them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import pytest

from edge_agender.audience.rounding import portions, round_cells

Counts = tuple[int, ...]
Seen = tuple[Counts, ...]


def audiences(viewers: int, cells: int) -> Iterator[Counts]:
    """Yield every way in which so many viewers fall into so many cells."""
    if cells == 1:
        yield (viewers,)
        return
    for first in range(viewers + 1):
        for rest in audiences(viewers - first, cells - 1):
            yield (first, *rest)


def starts(due: Sequence[float], shares: int) -> list[float]:
    """Return one random start of each kind: between any two at which another cell would be drawn."""
    step, edges, upto = sum(due) / shares if shares else 1.0, {0.0, 1.0}, 0.0
    for each in due:
        upto += each
        edges |= {upto / step - share for share in range(shares) if 0 < upto / step - share < 1}
    ordered = sorted(edges)
    return [(low + high) / 2 for low, high in pairwise(ordered) if high - low > 1e-9]


def published(periods: Seen, min_cell: int) -> Iterator[Seen]:
    """Yield everything that could be published of these audiences, with every random start."""
    order = range(len(periods[0]))

    def go_on(at: int, carried: dict[int, float], withheld: int, told: Seen) -> Iterator[Seen]:
        if at == len(periods):
            yield told
            return
        sums = {cell: float(count) for cell, count in enumerate(periods[at])}
        viewers = sum(periods[at]) + withheld
        due = [max(sums[cell] + carried.get(cell, 0.0), 0.0) for cell in order]
        for start in starts(due, portions(viewers, min_cell)):
            cells, left = round_cells(sums, carried, viewers, min_cell, order, lambda start=start: start)
            yield from go_on(at + 1, left, viewers - sum(cells.values()), (*told, tuple(cells.values())))

    yield from go_on(0, {}, 0, ())


def small_cells(viewers: Counts, cells: int, min_cell: int) -> list[tuple[Seen, int, int, int]]:
    """Return what comes out: a cell that, in some periods together, can have values from 1 to min_cell - 1 only.

    `viewers` are known a period: windows say them, and when each came. A lone one is a period of its own.
    """
    could_be: dict[Seen, set[Seen]] = {}
    for periods in product(*(list(audiences(count, cells)) for count in viewers)):
        for seen in published(periods, min_cell):
            could_be.setdefault(seen, set()).add(periods)
    found = []
    for seen, candidates in could_be.items():
        for first, last in ((a, b) for b in range(len(viewers)) for a in range(b + 1)):
            for cell in range(cells):
                values = {sum(each[at][cell] for at in range(first, last + 1)) for each in candidates}
                if all(0 < value < min_cell for value in values):
                    found.append((seen, first, last, cell))
    return found


@pytest.mark.parametrize(
    ("min_cell", "cells", "periods", "most"),
    [(2, 2, 3, 4), (2, 3, 3, 3), (3, 2, 3, 4), (3, 3, 2, 5), (3, 3, 3, 3), (4, 2, 3, 4), (5, 2, 2, 8), (5, 3, 2, 6)],
)
def test_no_small_cell_comes_out_of_any_audience(min_cell: int, cells: int, periods: int, most: int) -> None:
    for viewers in product(range(most + 1), repeat=periods):
        assert small_cells(viewers, cells, min_cell) == []


def test_one_who_walks_by_alone_is_not_found_among_others() -> None:
    # Known from windows: three, then one alone, then three. Two genders without bands: the fewest cells that occur.
    assert small_cells((3, 1, 3), 2, 5) == []
    assert small_cells((4, 1, 4), 2, 5) == []


def test_the_attack_finds_what_a_worse_rule_gives_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def nearest(sums, carried, viewers, min_cell, order, chance):  # type: ignore[no-untyped-def]
        """To the nearest multiple, nothing at random, nothing carried on: as a table is often rounded."""
        cells = {cell: min_cell * round(sums[cell] / min_cell) for cell in order}
        return cells, {}

    monkeypatch.setitem(globals(), "round_cells", nearest)
    assert small_cells((6,), 2, 5)
