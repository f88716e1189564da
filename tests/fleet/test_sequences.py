"""Which numbers have come, whatever the order in which they do."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge_agender.fleet.sequences import Sequences


@given(st.lists(st.one_of(st.integers(0, 30), st.tuples(st.just("said"), st.integers(0, 30)))))
def test_a_number_is_new_once_and_gaps_are_what_has_not_come(steps: list[int | tuple[str, int]]) -> None:
    sequences, came, highest = Sequences(), set[int](), -1
    for step in steps:
        if isinstance(step, tuple):
            sequences.expect(step[1])
            highest = max(highest, step[1])
            continue
        assert sequences.accept(step) == (step not in came)
        came.add(step)
        highest = max(highest, step)
    missing = {number for first, last in sequences.gaps for number in range(first, last + 1)}
    assert missing == set(range(highest + 1)) - came
    assert sequences.last == highest
    assert sequences.missing == len(missing)


@given(st.lists(st.integers(0, 30)))
def test_gaps_are_in_order_and_never_touch(numbers: list[int]) -> None:
    sequences = Sequences()
    for number in numbers:
        sequences.accept(number)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(sequences.gaps))
