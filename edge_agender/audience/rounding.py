"""Fractional cells -> the published table: multiples of `min_cell`, the remainder carried into the next period.

A cell's published value is its sum rounded down or up to a multiple of k, which of the two by chance, so that on
average it is the sum (systematic sampling, Madow 1949). What rounding added or left out is carried forward, so that
over any number of periods a cell misses its sum by about k at most, and every viewer is published exactly once.
Neighbouring ages are sampled one after the other: their errors cancel, so ages and genders as a whole err less.

Why nobody shows: a published 0 may stand for 0 to k - 1 viewers, k for 1 to 2k - 1. One viewer more than is published
stays behind: somebody who walked past alone knows who that was, and must not learn who four others were.
tests/audience/test_attack.py and test_outsider.py try it on all that is published.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

Key = TypeVar("Key")

# Sums of fractions that should be whole are off by some rounding errors of floating point.
_EPSILON = 1e-6


def round_cells(
    sums: Mapping[Key, float],
    brought: Mapping[Key, float],
    viewers: int,
    min_cell: int,
    order: Sequence[Key],
    chance: Callable[[], float],
) -> tuple[dict[Key, int], dict[Key, float]]:
    """Return the published value of every cell in `order`, and what is carried forward.

    `viewers` are those of `sums` and `brought` together. `chance` returns a number from [0, 1).
    """
    due = {key: sums.get(key, 0.0) + brought.get(key, 0.0) for key in order}
    shares = portions(viewers, min_cell)
    published = dict.fromkeys(order, 0)
    for key in _drawn(due, shares, order, chance):
        published[key] += min_cell
    return published, {key: due[key] - published[key] for key in order}


def portions(viewers: int, min_cell: int) -> int:
    """Return how many portions of `min_cell` viewers are published of so many."""
    return max(viewers - (min_cell > 1), 0) // min_cell


def _drawn(due: Mapping[Key, float], shares: int, order: Sequence[Key], chance: Callable[[], float]) -> list[Key]:
    """Return the cells that get a share of `min_cell` viewers each, by systematic sampling."""
    upto = list(accumulate(max(due[key], 0.0) for key in order))
    if not shares or upto[-1] <= _EPSILON:
        return []
    step, start = upto[-1] / shares, chance()
    places = (bisect_right(upto, step * (start + share)) for share in range(shares))
    return [order[min(place, len(order) - 1)] for place in places]
