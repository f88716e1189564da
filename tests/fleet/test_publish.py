"""Small numbers do not come out of sums, differences of sums, or two revisions of one day."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agender.fleet.keeping import HOUR_S, keep
from edge_agender.fleet.publish import REST, SUMS, WHOLE, Release, Rules, publish, release
from edge_agender.fleet.rollup import roll_up_all
from edge_agender.fleet.store import Database, open_database
from tests.fleet.messages import DAY_S, MIDNIGHT_S, NOW_S, record, window

K = 5


def sums(viewers: int, **fields: Any) -> dict[str, Any]:
    counts = {"opportunities": viewers, "viewers": viewers, "engaged": viewers}
    return dict.fromkeys(SUMS, 0.0) | {"dwell_viewers": viewers, "attention_viewers": viewers} | counts | fields


def day(**hours: int) -> dict[int, dict[str, dict[str, Any]]]:
    return {int(name[1:]) * HOUR_S: {WHOLE: sums(viewers)} for name, viewers in hours.items()}


def shown(released: Release) -> dict[tuple[int, str], int]:
    return {key: values["viewers"] for key, values in released.table.items()}


def test_quiet_hours_are_published_together_once_the_day_is_over() -> None:
    hours = day(h1=12, h2=3, h3=0, h4=4)
    open_day = release(hours, Release({}), K, complete=False)
    assert shown(open_day) == {(HOUR_S, ""): 12, (3 * HOUR_S, ""): 0}
    assert shown(release(hours, open_day, K, complete=True))[REST, WHOLE] == 7


def test_a_rest_of_few_stays_hidden() -> None:
    assert shown(release(day(h1=12, h2=3), Release({}), K, complete=True)) == {(HOUR_S, ""): 12}


def test_an_hour_changes_by_k_or_not_at_all() -> None:
    before = release(day(h1=12), Release({}), K, complete=True)
    waits = release(day(h1=14), before, K, complete=True)
    assert (shown(waits), waits.held_back) == ({(HOUR_S, ""): 12}, 1)
    assert shown(release(day(h1=17), before, K, complete=True)) == {(HOUR_S, ""): 17}


def test_a_content_that_follows_from_the_total_is_not_published() -> None:
    hours = {HOUR_S: {WHOLE: sums(20), "cola": sums(11), "news": sums(6), "rare": sums(3)}}
    assert shown(release(hours, Release({}), K, complete=True)) == {(HOUR_S, ""): 20, (HOUR_S, "cola"): 11}


@pytest.mark.parametrize("seed", range(40))
def test_no_subtraction_of_whatever_was_published_isolates_few_people(seed: int) -> None:
    """Unknown: the viewers that each delivery brought to each hour and content. Known: all rows of all revisions.

    Whatever is published is a sum of unknowns; a sum of few people would come out of them if it lay in their span.
    """
    luck = random.Random(seed)
    hours = {hour * HOUR_S: [0] * 3 for hour in range(6)}
    unknowns: list[tuple[int, int, int]] = []  # hour, delivery, viewers
    equations: list[tuple[list[int], int]] = []
    before = Release({})
    for delivery in range(4):
        for hour in range(6):
            if luck.random() < (0.9 if delivery == 0 else 0.3):
                unknowns.append((hour, delivery, luck.choice([0, 1, 2, 3, 4, 6, 9, 15])))
        so_far = {h * HOUR_S: {WHOLE: sums(sum(v for one, _, v in unknowns if one == h))} for h in range(6)}
        before = release(so_far, before, K, complete=delivery > 0)
        equations += [(_which(unknowns, before, key, so_far), value) for key, value in shown(before).items()]
    matrix = np.array([[int(i in row) for i in range(len(unknowns))] for row, _ in equations], float)
    assert hours
    for size in (1, 2):
        for chosen in itertools.combinations(range(len(unknowns)), size):
            people = sum(unknowns[i][2] for i in chosen)
            if 0 < people < K and all(unknowns[i][2] for i in chosen):
                assert not _follows(matrix, chosen), (chosen, unknowns, equations)


_membership: dict[tuple[int, str], list[int]] = {}


def _which(unknowns: list[tuple[int, int, int]], released: Release, key: tuple[int, str], so_far: Any) -> list[int]:
    """The unknowns that a published row adds up: those known when it was last changed."""
    hour_s, _ = key
    among = {hour_s // HOUR_S} if hour_s != REST else {one // HOUR_S for one in released.rest}
    candidates = [i for i, (hour, _, _) in enumerate(unknowns) if hour in among]
    value = released.table[key]["viewers"]
    # A row that was held back is the sum of an earlier state: of the first deliveries that give it.
    for last in range(4):
        chosen = [i for i in candidates if unknowns[i][1] <= last]
        if sum(unknowns[i][2] for i in chosen) == value:
            return chosen
    raise AssertionError(f"{key}: {value} is no sum of what was delivered")


def _follows(matrix: np.ndarray, chosen: tuple[int, ...]) -> bool:
    """Whether the sum of these unknowns is a combination of the equations."""
    wanted = np.zeros((1, matrix.shape[1]))
    wanted[0, list(chosen)] = 1
    rank = np.linalg.matrix_rank(matrix)
    return bool(np.linalg.matrix_rank(np.vstack([matrix, wanted])) == rank)


def test_the_attack_finds_what_is_not_protected() -> None:
    """The control: two sums that differ by one quiet hour give it away."""
    matrix = np.array([[1, 1, 1], [1, 1, 0]], float)
    assert _follows(matrix, (2,))
    assert not _follows(matrix, (0,))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'fleet.sqlite3'}")
    yield opened
    opened.close()


def test_a_day_is_published_after_it_has_settled_and_again_when_something_comes_late(database: Database) -> None:
    rules = Rules()
    keep(database, [record(window(number)) for number in range(120)], MIDNIGHT_S + 7200)
    roll_up_all(database, rules, MIDNIGHT_S + 7200)
    assert publish(database, rules, MIDNIGHT_S + 7200) == 1
    assert _rows(database) == [(MIDNIGHT_S, 360)]  # the second hour has not settled
    while publish(database, rules, MIDNIGHT_S + DAY_S + 7200):
        pass
    assert _rows(database) == [(MIDNIGHT_S, 360), (MIDNIGHT_S + 3600, 360)]
    keep(database, [record(window(number, historical=True)) for number in range(180, 190)], NOW_S)
    roll_up_all(database, rules, NOW_S)
    assert publish(database, rules, NOW_S) == 1
    assert _rows(database)[-1] == (MIDNIGHT_S + 3 * 3600, 60)
    with database.reading() as transaction:
        assert transaction.rows("SELECT complete, hidden FROM publication") == [(1, 0)]


def _rows(database: Database) -> list[tuple[Any, ...]]:
    with database.reading() as transaction:
        return transaction.rows("SELECT hour_s, viewers FROM published WHERE content = '' ORDER BY hour_s")
