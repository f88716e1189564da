"""The outsider on tables of full size: each gender and age band, split by content, other lengths and restarts.

tests/audience/test_attack.py tries all audiences of a few people; here each cell that could come out is cleared by an
audience that explains every message and has nobody, or k and more, in it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from edge_agender.audience import rounding
from edge_agender.audience.demography import AgeBands
from edge_agender.audience.measures import ContentShare
from edge_agender.audience.periods import Periods
from edge_agender.audience.rounding import round_cells
from edge_agender.messages.build import demographics_message
from edge_agender.messages.sender import Sender
from edge_agender.vision.faces import Estimate
from tests.support.outsider import (
    Excess,
    Find,
    Order,
    Outsider,
    Table,
    by_content,
    by_the_rule,
    groups_of,
    of_contents,
    order_of,
    tables,
)
from tests.support.visits import NOON_S, visit

SENDER = Sender("p", "lobby", "0123456789abcdef", "0.1.0", {})
VERSIONS: Any = {}
ENDS = (13, 18, 25, 35, 45, 55, 65)
BUSY = (0, 1, 1, 2, 3, 4, 5, 6, 8, 12, 20)


@dataclass
class Day:
    """Periods as a daemon counts and publishes them, and who was really there."""

    min_cell: int
    split: bool
    chance: random.Random

    def __post_init__(self) -> None:
        self.bands = AgeBands(ENDS)
        self.order: Order = order_of(self.bands, (None, "a", "b") if self.split else (None,))
        # From a few kinds of people to an even crowd.
        even = self.chance.choice((0.1, 0.3, 1.0, 5.0))
        self._often = [self.chance.gammavariate(even, 1.0) + 1e-9 for _ in self.order]
        self._book, self._now_s = self._periods(3600), 0
        self.messages: list[dict[str, Any]] = []
        self.truth: list[np.ndarray] = []

    def _periods(self, length_s: int) -> Periods:
        chance = self.chance.random
        return Periods(length_s, 2.0, self.bands, min_cell=self.min_cell, by_content=self.split, chance=chance)

    def period(self, people: int, length_s: int, *, restart: bool) -> None:
        """Let people come, in a process that has just started or in the one before, and publish what is complete."""
        if restart:
            before, self._book = self._book, self._periods(length_s)
            self._book.restore(json.loads(json.dumps(before.snapshot())), NOON_S + self._now_s)
        came = np.zeros(len(self.order), dtype=int)
        for cell in self.chance.choices(range(len(self.order)), self._often, k=people):
            came[cell] += 1
            self._leave(*self.order[cell])
        self._now_s += length_s
        for each in self._book.due(NOON_S + self._now_s + 2):
            message = demographics_message(SENDER, each, len(self.messages), VERSIONS)
            self.messages.append(json.loads(message.payload))
            self.truth.append(came)

    def _leave(self, content: str | None, gender: str, band: str) -> None:
        years = (0, *ENDS)[self.bands.labels.index(band)] + 2.0 if gender != "unknown" else 0.0
        estimate = Estimate(years, 0.01, float(gender == "female")) if gender != "unknown" else None
        shares = (ContentShare(content, 4.0, 2.0),) if content else ()
        self._book.leave(visit(self._now_s + 60, estimate=estimate, content=shares))


def lived(counts: Sequence[int], seed: int, *, min_cell: int = 5, split: bool = False) -> Day:
    """Return periods of so many people each: hours, then quarter-hours, with restarts; the last table is sent twice."""
    day = Day(min_cell, split, random.Random(seed))
    for at, people in enumerate(counts):
        length_s = 3600 if at < 2 else 900
        day.period(people, length_s, restart=at == 2 or day.chance.random() < 0.5)
    day.messages += day.messages[-1:]
    return day


def found(day: Day, seed: int, *, known: Sequence[int] = (), rounds: int = 60) -> list[Find]:
    """Return what comes out of a day's messages; of a content's viewers the number is known, from windows."""
    seen, truth = tables(day.messages, day.order), np.array(day.truth)
    contents = [content for content, _, _ in day.order]
    parts = np.array([list(dict.fromkeys(contents)).index(content) for content in contents])
    viewers = np.array([[came[parts == part].sum() for part in sorted(set(parts))] for came in truth])
    excess = by_content(of_contents(seen, parts, viewers), parts, day.min_cell)
    outsider = Outsider(excess, truth, day.min_cell, groups_of(day.order), seed, known, parts)
    return outsider.finds(rounds=rounds)


def busy(seed: int, periods: int = 5) -> list[int]:
    return random.Random(seed).choices(BUSY, k=periods)


@pytest.mark.parametrize("min_cell", [3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_no_cell_gender_or_band_comes_out_of_full_tables(seed: int, min_cell: int) -> None:
    assert found(lived(busy(seed), seed, min_cell=min_cell), seed) == []


@pytest.mark.parametrize("seed", range(4))
def test_no_cell_or_content_comes_out_of_tables_split_by_content(seed: int) -> None:
    assert found(lived(busy(seed, 4), seed, split=True), seed) == []


@pytest.mark.parametrize("counts", [(1, 4, 4), (4, 1, 4), (3, 1, 2, 3), (1, 5, 5), (9, 1, 4), (1, 4, 12)])
def test_one_who_walked_past_alone_learns_nothing_of_the_others(counts: tuple[int, ...]) -> None:
    for seed in range(4):
        day = lived(counts, seed)
        assert len(day.truth) == len(counts)
        assert found(day, seed, known=[counts.index(1)]) == []


def test_the_one_who_is_left_behind_is_what_keeps_that_from_him(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "portions", lambda viewers, min_cell: viewers // min_cell)
    monkeypatch.setattr("tests.support.outsider.portions", lambda viewers, min_cell: viewers // min_cell)
    assert any(found(lived((1, 4, 4), seed), seed, known=[0], rounds=10) for seed in range(4))


def test_a_table_of_which_nothing_is_published_names_no_content() -> None:
    """It would say what a single viewer saw."""
    day = Day(5, True, random.Random(1))
    day._often = [float(content == "b") for content, _, _ in day.order]
    day.period(1, 3600, restart=False)
    (message,) = day.messages
    assert {cell["content"] for cell in message["cells"]} == {None}


# Planted leaks: what other rules would give away. All audiences of a few people are tried, so each find is a proof.
BANDS = AgeBands((40,))
FEW = order_of(BANDS)
SPLIT = order_of(AgeBands(()), ("a", "b"))


def audiences(people: int, cells: int) -> Iterator[tuple[int, ...]]:
    """Yield every way in which so many people fall into so many cells."""
    if cells == 1:
        yield (people,)
        return
    for first in range(people + 1):
        for rest in audiences(people - first, cells - 1):
            yield (first, *rest)


def proven(excess: Excess, candidates: Sequence[np.ndarray], order: Order, min_cell: int = 5) -> bool:
    """Return whether a cell, gender or band has 1 to k - 1, in a period or in all, in every audience that explains."""
    explaining = np.array([each for each in candidates if excess(each) == 0])
    assert len(explaining)
    masks = np.array(list(groups_of(order).values()), dtype=float).T
    values = explaining @ masks
    values = np.concatenate([values, values.sum(axis=1, keepdims=True)], axis=1)
    return bool(((values > 0) & (values < min_cell)).all(axis=0).any())


def settled(sums: np.ndarray, start: float, min_cell: int = 5) -> Table:
    """Return the table of the real rule with this random start, for nobody brought forward."""
    order, people = range(len(sums)), int(sums.sum())
    cells, _ = round_cells(dict(enumerate(sums.astype(float))), {}, people, min_cell, order, lambda: start)
    return Table(people, 0, np.array([cells[at] for at in order]))


def one(table: Table) -> Excess:
    """Return what a single table says of audiences, of all their periods together."""
    rule = by_the_rule([table], 5)
    return lambda each: rule(each.sum(axis=0, keepdims=True))


def rounded(truth: np.ndarray) -> Excess:
    """Each cell to the nearest multiple, nothing by chance."""
    cells = 5 * np.round(truth.sum(axis=0) / 5)
    return lambda each: float(np.abs(5 * np.round(each.sum(axis=0) / 5) - cells).sum())


def suppressed(truth: np.ndarray) -> Excess:
    """Cells of 1 to k - 1 hidden, the others and the sum exact: as many a table is made."""
    sums = truth.sum(axis=0)
    shown = (sums >= 5) | (sums == 0)

    def excess(each: np.ndarray) -> float:
        guess = each.sum(axis=0)
        hidden = guess[~shown]
        return float(np.abs(guess - sums)[shown].sum() + ((hidden >= 5) | (hidden == 0)).sum())

    return excess


def drawn_twice(truth: np.ndarray) -> Excess:
    """After a kill the same period is settled again, with another start."""
    rules = [one(settled(truth.sum(axis=0), start)) for start in (0.05, 0.35, 0.65, 0.95)]
    return lambda each: sum(rule(each) for rule in rules)


def two_lengths(truth: np.ndarray) -> Excess:
    """Cells of k and more exact, all others hidden, for shorter periods and for the long one."""
    spans = [slice(at, at + 1) for at in range(len(truth))] + [slice(None)]

    def excess(each: np.ndarray) -> float:
        off = 0.0
        for span in spans:
            sums, guess = truth[span].sum(axis=0), each[span].sum(axis=0)
            shown = sums >= 5
            off += np.abs(guess - sums)[shown].sum() + (guess[~shown] >= 5).sum()
        return off

    return excess


def contents_together(truth: np.ndarray) -> Excess:
    """One draw for all contents, of each of which the viewers are known from windows."""
    rule, (sums,) = one(settled(truth[0], 0.1)), truth
    part_of_a = np.array([content == "a" for content, _, _ in SPLIT])
    return lambda each: rule(each) + abs(float((each[0] - sums) @ part_of_a))


@pytest.mark.parametrize(
    ("leak", "order", "people"),
    [
        (rounded, FEW, (6,)),
        (suppressed, FEW, (8,)),
        (drawn_twice, FEW, (7,)),
        (two_lengths, FEW, (6, 3)),
        (contents_together, SPLIT, (8,)),
    ],
)
def test_another_rule_would_be_found_out(leak: Any, order: Order, people: tuple[int, ...]) -> None:
    ways = [[np.array(each) for each in audiences(count, len(order))] for count in people]
    candidates = [np.array([first]) for first in ways[0]]
    for more in ways[1:]:
        candidates = [np.vstack([before, each]) for before in candidates for each in more]
    chance = random.Random(3)
    assert any(proven(leak(truth), candidates, order) for truth in chance.sample(candidates, 12))


def test_the_real_rule_is_not_found_out_by_the_same_search() -> None:
    candidates = [np.array([each]) for each in audiences(8, len(FEW))]
    chance = random.Random(3)
    for truth in chance.sample(candidates, 12):
        assert proven(one(settled(truth[0], chance.random())), candidates, FEW) is False


def test_the_outsider_knows_the_rule() -> None:
    """What can be drawn is exactly what the outsider thinks can be drawn."""
    chance = random.Random(2)
    for _ in range(25):
        sums = np.array([chance.choice((0, 0, 1, 2, 4)) for _ in FEW])
        real = {tuple(settled(sums, (step + 0.5) / 211).cells) for step in range(211)}
        tried = {tuple(settled(np.array(each), 0.5).cells) for each in audiences(int(sums.sum()), len(FEW))} | real
        for cells in tried:
            excess = one(Table(int(sums.sum()), 0, np.array(cells)))
            assert (excess(sums[None]) == 0) == (cells in real), (sums, cells)
