from __future__ import annotations

import random

import pytest

from benchmarks.shares import DRAWN, Table, draw, missed
from benchmarks.strangers import Known
from edge_agender.audience.demography import AgeBands
from edge_agender.vision.faces import Estimate

UNIFORM = (1,) * 8


def table(spread: float, said: float, p: float = 0.99) -> Table:
    """Strangers of every age, estimated with errors of `spread` years and a deviation that says `said`."""
    chance = random.Random(3)
    known = []
    for at in range(800):
        age, gender = at % 90, "female" if at % 2 else "male"
        estimate = Estimate(age + chance.gauss(0, spread), said, p if gender == "female" else 1 - p)
        known.append(Known(float(age), gender, estimate))
    return Table(known, DRAWN)


def audience(of: Table, size: int = 400) -> list[int]:
    pool: dict[str, list[int]] = {}
    for at, each in enumerate(of.known):
        pool.setdefault(DRAWN.of(each.age), []).append(at)
    return draw(pool, UNIFORM, size, random.Random(5))


def test_who_is_estimated_without_error_is_counted_without_a_miss() -> None:
    exact = table(0.0, 0.01, p=1.0)
    people = audience(exact)
    truth = exact.truth(people)
    assert sum(truth.values()) == 400
    for way in (exact.hard(people), exact.fractions(people)):
        assert missed(way, truth, bands=False) == pytest.approx(0.0, abs=0.01)


def test_what_is_published_misses_by_its_rounding_only() -> None:
    exact = table(0.0, 0.01, p=1.0)
    people = audience(exact)
    told = exact.published(people, people, 5, random.Random(1))
    assert all(viewers % 5 == 0 for viewers in told.values())
    assert 0 < missed(told, exact.truth(people), bands=False) < 16 * 5 / 400 * 50


def test_nothing_does_better_than_the_floor() -> None:
    noisy = table(8.0, 8.0)
    people = audience(noisy)
    truth = noisy.truth(people)
    floor = missed(noisy.floor(people, UNIFORM), truth, bands=True)
    others = noisy.fractions(people), noisy.hard(people)
    assert 0 < floor < 0.7 * min(missed(way, truth, bands=True) for way in others)


def test_the_floor_is_counted_in_other_bands_too() -> None:
    noisy = table(8.0, 8.0)
    wide = Table(noisy.known, AgeBands((18, 35, 55)))
    people = audience(wide)
    assert sum(wide.floor(people, UNIFORM).values()) == pytest.approx(400)
    assert wide.floor(people, UNIFORM).keys() == wide.truth(people).keys()


def test_a_share_that_moved_by_ten_points_is_ten_points_missed() -> None:
    truth = {("female", "0-17"): 50.0, ("male", "0-17"): 50.0, ("female", "18+"): 0.0, ("male", "18+"): 0.0}
    told = {("female", "0-17"): 6.0, ("male", "0-17"): 3.0, ("female", "18+"): 1.0, ("male", "18+"): 0.0}
    assert missed(told, truth, bands=False) == pytest.approx(20.0)
    assert missed(told, truth, bands=True) == pytest.approx(10.0)
