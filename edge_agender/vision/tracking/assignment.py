"""Which detection belongs to which track: the pairs of least total cost, pairs over a limit left out."""

from __future__ import annotations

from collections.abc import Sequence

Costs = Sequence[Sequence[float]]


def assign(costs: Costs, limit: float) -> list[tuple[int, int]]:
    """Return (row, column) pairs, each row and column at most once, of least total cost.

    A pair may cost at most `limit`, and leaving a row alone costs `limit`, so as many are paired as is worth it.
    """
    rows, columns = len(costs), len(costs[0]) if costs else 0
    if not rows or not columns:
        return []
    free = _unambiguous(costs, limit)
    if free is not None:
        return free
    # One dummy column a row makes "alone" a choice like any other; a pair over the limit is worse than it.
    padded = [[min(cost, limit + 1) for cost in row] + [limit] * rows for row in costs]
    pairs = enumerate(_hungarian(padded))
    return [(row, column) for row, column in pairs if column < columns and costs[row][column] <= limit]


def _unambiguous(costs: Costs, limit: float) -> list[tuple[int, int]] | None:
    """The pairs where no row and no column has two candidates, as in most frames; else None."""
    pairs = [(r, c) for r, row in enumerate(costs) for c, cost in enumerate(row) if cost <= limit]
    rows, columns = {r for r, _ in pairs}, {c for _, c in pairs}
    return pairs if len(rows) == len(pairs) == len(columns) else None


def _hungarian(costs: Costs) -> list[int]:
    """Return the column of each row (Kuhn 1955, in the shortest path form); needs columns >= rows."""
    rows, columns = len(costs), len(costs[0])
    row_potential, column_potential = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0] = row
        _augment(costs, row_potential, column_potential, owner)
    result = [0] * rows
    for column in range(1, columns + 1):
        if owner[column]:
            result[owner[column] - 1] = column - 1
    return result


def _augment(costs: Costs, row_potential: list[float], column_potential: list[float], owner: list[int]) -> None:
    """Give the row in owner[0] a column, along the cheapest path of swaps."""
    columns = len(column_potential) - 1
    least, previous, used = [float("inf")] * (columns + 1), [0] * (columns + 1), [False] * (columns + 1)
    at = 0
    while owner[at]:
        used[at] = True
        row, step, nearest = owner[at], float("inf"), 0
        for column in range(1, columns + 1):
            if used[column]:
                continue
            reduced = costs[row - 1][column - 1] - row_potential[row] - column_potential[column]
            if reduced < least[column]:
                least[column], previous[column] = reduced, at
            if least[column] < step:
                step, nearest = least[column], column
        for column in range(columns + 1):
            if used[column]:
                row_potential[owner[column]] += step
                column_potential[column] -= step
            else:
                least[column] -= step
        at = nearest
    while at:
        owner[at] = owner[previous[at]]
        at = previous[at]
