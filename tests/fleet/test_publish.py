"""Small numbers do not come out of sums, differences of sums, or two revisions of one day."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from edge_agender.fleet.keeping import HOUR_S, keep
from edge_agender.fleet.publish import REST, SUMS, WHOLE, Release, Rules, publish, release
from edge_agender.fleet.rollup import roll_up_all
from edge_agender.fleet.store import Database
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


@dataclass(frozen=True)
class Group:
    """People who came with one delivery, in one hour, before one content."""

    hour: int
    content: str
    delivery: int
    people: int


@pytest.mark.parametrize("seed", range(60))
def test_no_subtraction_of_whatever_was_published_isolates_few_people(seed: int) -> None:
    """Unknown: how many each group has. Known: every row of every revision, as a sum of groups.

    Page, API and exports show sums of rows: what follows from them lies in the span of these. Each group and each pair
    of groups of fewer than k people must not.
    """
    luck = random.Random(seed)
    groups: list[Group] = []
    known: list[list[int]] = []
    before = Release({})
    for delivery in range(4):
        for hour, content in itertools.product(range(5), ("cola", "news")):
            if luck.random() < (0.9 if delivery == 0 else 0.25):
                groups.append(Group(hour, content, delivery, luck.choice([0, 1, 2, 3, 4, 6, 9, 15])))
        before = release(_hours(groups), before, K, complete=delivery > 0)
        known += [_groups_of(groups, before, key) for key in before.table]
    matrix = np.array([[int(i in row) for i in range(len(groups))] for row in known], float)
    for size in (1, 2):
        for chosen in itertools.combinations(range(len(groups)), size):
            people = [groups[i].people for i in chosen]
            if sum(people) < K and all(people):
                assert not _follows(matrix, chosen), [groups[i] for i in chosen]


def _hours(groups: list[Group]) -> dict[int, dict[str, dict[str, Any]]]:
    hours: dict[int, dict[str, Any]] = {}
    for hour in {group.hour for group in groups}:
        mine = [group for group in groups if group.hour == hour]
        named = {name: sum(group.people for group in mine if group.content == name) for name in ("cola", "news")}
        whole = {WHOLE: sums(sum(named.values()))}
        hours[hour * HOUR_S] = whole | {name: sums(people) for name, people in named.items()}
    return hours


def _groups_of(groups: list[Group], released: Release, key: tuple[int, str]) -> list[int]:
    """The groups that a row adds up. One that was held back adds up those of an earlier delivery."""
    hour_s, content = key
    hours = {hour_s} if hour_s != REST else set(released.rest)
    mine = [i for i, group in enumerate(groups) if group.hour * HOUR_S in hours and content in (WHOLE, group.content)]
    for last in range(3, -1, -1):
        chosen = [i for i in mine if groups[i].delivery <= last]
        if sum(groups[i].people for i in chosen) == released.table[key]["viewers"]:
            return chosen
    raise AssertionError(f"{key}: {released.table[key]['viewers']} is no sum of what was delivered")


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
