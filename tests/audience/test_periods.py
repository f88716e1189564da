from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.measures import ContentShare, Demographics
from edge_agender.audience.periods import Periods
from edge_agender.vision.faces import Estimate
from tests.support.visits import NOON_S, visit

BANDS = AgeBands((18, 35, 55))


def periods(min_cell: int = 5, *, by_content: bool = False, length_s: int = 3600, seed: int = 1) -> Periods:
    chance = random.Random(seed).random
    return Periods(length_s, 2.0, BANDS, min_cell=min_cell, by_content=by_content, chance=chance)


def add(book: Periods, hour: int, people: int, years: float = 40.0, content: str | None = None) -> None:
    shares = (ContentShare(content, 4.0, 2.0),) if content else ()
    for _ in range(people):
        book.leave(visit(hour * 3600 + 60, estimate=Estimate(years, 6.0, 0.9), content=shares))


def told(book: Periods, hours: int = 1) -> list[Demographics]:
    return book.due(NOON_S + 3600 * hours + 2)


def test_every_period_adds_up_and_what_is_withheld_comes_next() -> None:
    book = periods()
    for hour, people in enumerate((3, 9, 0, 14)):
        book.watch(NOON_S + hour * 3600 + 1, hour * 3600)
        add(book, hour, people)
    periods_ = told(book, 4)
    assert [period.viewers for period in periods_] == [3, 9, 0, 14]
    assert [period.withheld for period in periods_] == [3, 2, 2, 1]
    for before, period in zip([None, *periods_], periods_, strict=False):
        cells = sum(viewers for _, viewers, _ in period.cells)
        assert period.brought_forward == (before.withheld if before else 0)
        assert cells + period.withheld == period.viewers + period.brought_forward
        assert all(viewers % 5 == 0 for _, viewers, _ in period.cells)


def test_in_the_long_run_every_cell_gets_its_fractions() -> None:
    book, true = periods(), Counter[tuple[str, str]]()
    chance = random.Random(3)
    for hour in range(60):
        for _ in range(chance.randrange(20)):
            estimate = Estimate(chance.gauss(45, 18), 6.0, chance.random())
            true.update(BANDS.fractions(estimate))
            book.leave(visit(hour * 3600 + 60, estimate=estimate))
    got = Counter[tuple[str, str]]()
    for period in told(book, 60):
        got.update({(key.gender, key.age_band): viewers for key, viewers, _ in period.cells})
    assert sum(true.values()) > 400
    assert max(abs(got[cell] - true[cell]) for cell in BANDS.cells) < 6


def test_a_viewer_without_an_estimate_is_counted_as_unknown() -> None:
    book = periods(min_cell=1)
    book.leave(visit(60, estimate=None))
    (period,) = told(book)
    assert [key for key, viewers, _ in period.cells if viewers] == [(None, "unknown", "unknown")]


def test_passers_by_are_not_counted() -> None:
    book = periods(min_cell=1)
    book.leave(visit(60, is_viewer=False))
    assert told(book) == []


def test_contents_split_the_table_and_each_viewer_is_in_one() -> None:
    book = periods(by_content=True)
    add(book, 0, 21, content="a")
    add(book, 0, 11, content="b")
    add(book, 0, 6)
    (period,) = told(book)
    by_content = Counter[str | None]()
    for key, viewers, _ in period.cells:
        by_content[key.content] += viewers
    assert by_content.total() == 35
    assert (by_content["a"], by_content["b"], by_content[None]) == (20, 10, 5)


def test_another_split_since_the_restart_loses_nobody() -> None:
    book, whole = periods(by_content=True), periods()
    for content, people in (("a", 4), ("b", 4), (None, 3)):
        add(book, 0, people, content=content)
    (period,) = told(book)
    assert period.withheld == 11  # none of them alone is enough
    whole.restore(book.snapshot(), NOON_S)
    add(whole, 1, 0)
    whole.watch(NOON_S + 3601, 1.0)
    (period,) = told(whole, 2)
    assert (period.brought_forward, period.withheld) == (11, 1)
    assert {key.content for key, _, _ in period.cells} == {None}


def test_who_came_under_a_larger_min_cell_is_not_published_finer_afterwards() -> None:
    """Four women of 40 and one of the open period, promised fives: with min_cell 1 each would be told exactly."""
    book, finer = periods(), periods(min_cell=1)
    add(book, 0, 4)
    told(book)
    add(book, 1, 1)
    finer.restore(json.loads(json.dumps(book.snapshot())), NOON_S)
    add(finer, 2, 1, years=70.0)
    promised, free = told(finer, 3)
    assert (promised.min_cell, promised.viewers, promised.withheld) == (5, 1, 5)
    assert (free.min_cell, free.viewers, free.brought_forward, free.withheld) == (1, 1, 5, 0)
    of_forty = sum(viewers for key, viewers, _ in free.cells if key[1:] == ("female", "35-54"))
    assert of_forty <= 1


def test_endless_new_contents_lose_nobody() -> None:
    book = periods(by_content=True)
    for hour in range(3):
        for number in range(150):
            add(book, hour, 1, content=f"{hour} {number}")
    in_all = told(book, 3)
    assert sum(viewers for period in in_all for _, viewers, _ in period.cells) + in_all[-1].withheld == 450


def test_a_restart_goes_on_with_the_same_carried_parts() -> None:
    book = periods()
    add(book, 0, 8)
    told(book)
    add(book, 1, 4)
    resumed = periods()
    resumed.restore(json.loads(json.dumps(book.snapshot())), NOON_S)
    add(resumed, 1, 3)
    (period,) = told(resumed, 2)
    assert (period.viewers, period.brought_forward, period.withheld, period.number) == (7, 3, 5, 1)


def test_other_bands_and_another_length_since_the_restart_lose_nobody() -> None:
    book = periods()
    add(book, 0, 8)
    told(book)
    add(book, 1, 4)
    other = Periods(900, 2.0, AgeBands((30,)), min_cell=5, by_content=False, chance=random.Random(1).random)
    other.restore(book.snapshot(), NOON_S)
    (period,) = told(other, 2)
    assert (period.length_s, period.viewers, period.brought_forward, period.withheld) == (3600, 4, 3, 2)
    assert {key.age_band for key, _, _ in period.cells} == {"0-29", "30+", "unknown"}


@pytest.mark.parametrize("by_content", [False, True])
def test_viewers_of_bands_that_are_gone_are_published_and_their_state_can_be_read_again(by_content: bool) -> None:
    book = periods(by_content=by_content)
    add(book, 0, 102, content="a")
    bands = AgeBands((30, 60))
    other = Periods(3600, 2.0, bands, min_cell=5, by_content=by_content, chance=random.Random(1).random)
    other.restore(book.snapshot(), NOON_S)
    (period,) = told(other)
    women = sum(viewers for key, viewers, _ in period.cells if key.gender == "female")
    assert (sum(viewers for _, viewers, _ in period.cells), period.withheld) == (100, 2)
    assert 85 <= women <= 95
    periods().restore(other.snapshot(), NOON_S)


@pytest.mark.parametrize(
    "damage",
    [
        {"withheld": 7},
        {"withheld": -1},
        {"carried": [[None, "female", "0-17", 4.0]]},
        {"carried": 3},
        {"carried_min_cell": 0},
        {"open": [[1, {}]]},
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage: dict[str, object]) -> None:
    book = periods()
    add(book, 0, 8)
    told(book)
    before = book.snapshot()
    with pytest.raises(ValueError, match=r"."):
        book.restore({**before, **damage}, NOON_S)
    assert book.snapshot() == before


def test_the_deviation_tells_nothing_that_the_table_does_not() -> None:
    book, other = periods(seed=4), periods(seed=4)
    add(book, 0, 5, years=30)
    add(other, 0, 5, years=31)
    (one,), (two,) = told(book), told(other)
    assert {viewers: sd for _, viewers, sd in one.cells} == {viewers: sd for _, viewers, sd in two.cells}
