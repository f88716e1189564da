from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agender.vision.tracking.assignment import assign

tables = st.integers(0, 4).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(-20, 30).map(float), min_size=columns, max_size=columns), min_size=0, max_size=4
    )
)


def least(costs: list[list[float]], limit: float) -> float:
    """The least total by trying everything: a row alone costs the limit."""
    columns = len(costs[0])
    slots = [*range(columns), *([None] * len(costs))]
    best = float("inf")
    for choice in set(permutations(slots, len(costs))):
        total = 0.0
        for row, column in enumerate(choice):
            cost = limit if column is None else costs[row][column]
            total += cost if cost <= limit else float("inf")
        best = min(best, total)
    return best


@settings(deadline=None)
@given(tables, st.sampled_from([0.0, 5.0, 10.0, 40.0]))
def test_no_other_choice_costs_less(costs: list[list[float]], limit: float) -> None:
    pairs = assign(costs, limit)
    rows, columns = [r for r, _ in pairs], [c for _, c in pairs]
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    assert all(costs[row][column] <= limit for row, column in pairs)
    if costs and costs[0]:
        total = sum(costs[row][column] for row, column in pairs) + limit * (len(costs) - len(pairs))
        assert total == pytest.approx(least(costs, limit))


def test_greed_would_do_worse() -> None:
    assert sorted(assign([[1.0, 2.0], [2.0, 9.0]], limit=10)) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("costs", [[], [[]], [[], []]])
def test_nothing_to_pair(costs: list[list[float]]) -> None:
    assert assign(costs, 1.0) == []


def test_infinity_is_never_paired() -> None:
    assert assign([[float("inf"), 1.0], [float("inf"), 2.0]], limit=5) == [(0, 1)]
