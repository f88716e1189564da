"""An outsider who keeps all tables of the demographics and the counts of the windows, knows the rule, and looks for
audiences that explain them all. A cell comes out where every such audience has 1 to k - 1 in it.

Audiences are arrays (periods, cells) of whole persons: whoever is in one cell for certain is protected least.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.rounding import portions

Audiences = np.ndarray
# How far from explaining what was seen an audience is: 0 where it could have caused it.
Excess = Callable[[Audiences], float]
Order = Sequence[tuple[str | None, str, str]]
_ROOM = 1e-6


@dataclass(frozen=True)
class Table:
    """What one message of the demographics says: the period's viewers, who were brought forward, the cells in order.

    With a split it is the part of one content: how many viewers it had follows from windows, and from what was on.
    """

    viewers: int
    brought_forward: int
    cells: np.ndarray


@dataclass(frozen=True)
class Find:
    """Cells that together, in the periods from `first` to `last` together, hold 1 to k - 1 viewers for certain."""

    cells: str
    first: int
    last: int


def order_of(bands: AgeBands, contents: Sequence[str | None] = (None,)) -> Order:
    """Return the cells as the rule draws them: it is no secret."""
    return [(content, *cell) for content in sorted(contents, key=lambda id_: id_ or "") for cell in bands.cells]


def tables(messages: Sequence[Mapping[str, Any]], order: Order) -> list[Table]:
    """Return the tables of demographics messages, each once, however often it was sent."""
    once = {(each["boot_id"], each["sequence"]): each for each in messages}
    found = []
    for each in once.values():
        said = {(cell["content"], cell["gender"], cell["age_band"]): cell["viewers"] for cell in each["cells"]}
        # Cells of nobody, of no content, stand where nothing of any content is published.
        assert {key for key, viewers in said.items() if viewers} <= set(order), "cells that the outsider does not know"
        cells = np.array([said.get(key, 0) for key in order])
        found.append(Table(each["viewers"], each["brought_forward"], cells))
    return found


def of_contents(seen: Sequence[Table], parts: np.ndarray, viewers: np.ndarray) -> list[list[Table]]:
    """Return the tables of each content. `parts` say which content a cell is of; `viewers` (periods, contents)."""
    apart = []
    for content in range(viewers.shape[1]):
        brought, mine = 0, []
        for table, came in zip(seen, viewers[:, content], strict=True):
            cells = np.where(parts == content, table.cells, 0)
            mine.append(Table(int(came), brought, cells))
            brought += int(came) - int(cells.sum())
        apart.append(mine)
    return apart


def drawn(due: np.ndarray, viewers: int, cells: np.ndarray, min_cell: int) -> float:
    """Return by how much a table is out of reach of systematic sampling from `due`, whatever the random start.

    A start u gives cell i the points u, u + 1, ... that lie in its part of the line, in steps. So up to each cell, the
    sum of parts less what was drawn lies within one step: from u - 1 to u.
    """
    shares = portions(viewers, min_cell)
    upto = np.cumsum(np.maximum(due, 0.0))
    if not shares or upto[-1] <= 0:
        return float(cells.sum())
    off = upto / upto[-1] * shares - np.cumsum(cells) / min_cell
    spread = max(float(off.max()), 0.0) - min(float(off.min()), 0.0)
    return max(spread - (1 - _ROOM), 0.0)


def by_the_rule(seen: Sequence[Table], min_cell: int) -> Excess:
    """Return how far audiences are from explaining tables that were settled one after the other."""

    def excess(audiences: Audiences) -> float:
        carried, total = np.zeros(audiences.shape[1]), 0.0
        for table, sums in zip(seen, audiences, strict=True):
            due = sums + carried
            total += drawn(due, table.viewers + table.brought_forward, table.cells, min_cell)
            carried = due - table.cells
        return total

    return excess


def by_content(apart: Sequence[Sequence[Table]], parts: np.ndarray, min_cell: int) -> Excess:
    """Return the same for tables that are settled content by content."""
    rules = [by_the_rule(mine, min_cell) for mine in apart]
    return lambda audiences: sum(rule(audiences * (parts == content)) for content, rule in enumerate(rules))


class Outsider:
    """Searches audiences, from one that explains what was seen, for each cell that could come out.

    `groups` are sets of cells by name, as masks: single ones, a gender, an age band, a content.
    """

    def __init__(
        self,
        excess: Excess,
        start: Audiences,
        min_cell: int,
        groups: Mapping[str, np.ndarray],
        seed: int,
        known: Sequence[int] = (),
        parts: np.ndarray | None = None,
    ) -> None:
        assert excess(start) == 0, "the truth does not explain what was seen: the outsider has the rule wrong"
        self._excess, self._min_cell, self._chance = excess, min_cell, random.Random(seed)
        self._names = list(groups)
        self._masks = np.array(list(groups.values()), dtype=float).T
        self._pool = [start]
        # How many each part of the table had is known: nobody can have been in another.
        self._parts = np.zeros(start.shape[1], dtype=int) if parts is None else parts
        # Whoever came in these periods is known by sight; the question is who the others were.
        self._others = np.array([float(at not in known) for at in range(len(start))])[:, None]
        periods = len(start)
        earlier = np.tril(np.ones((periods, periods), dtype=bool))
        # By last period, first period and group: no audience seen so far has anything but 1 to k - 1 there.
        self._suspect = earlier[:, :, None] & self._small(start)

    def finds(self, tries: int = 500, rounds: int = 60) -> list[Find]:
        """Return what comes out: `rounds` searches of `tries` audiences each have not cleared it."""
        self._wander(4 * tries)
        for _ in range(rounds):
            if not self._suspect.any():
                break
            for last, first, group in np.argwhere(self._suspect):
                if self._suspect[last, first, group]:
                    self._search(int(first), int(last), int(group), tries)
        return [Find(self._names[group], int(first), int(last)) for last, first, group in np.argwhere(self._suspect)]

    def _small(self, audiences: Audiences) -> np.ndarray:
        sums = (audiences * self._others) @ self._masks
        upto = np.cumsum(sums, axis=0)
        before = upto - sums
        values = upto[:, None, :] - before[None, :, :]
        small: np.ndarray = (values > 0.5) & (values < self._min_cell - 0.5)
        return small

    def _note(self, audiences: Audiences) -> None:
        self._suspect &= self._small(audiences)
        if len(self._pool) < 500:
            self._pool.append(audiences)

    def _moved(self, audiences: Audiences, first: int, last: int, mask: np.ndarray | None = None) -> Audiences:
        """Return audiences with some people in another cell, in or out of `mask`; often some back at another time."""
        after, chance = audiences.copy(), self._chance
        periods = [at for at in range(first, last + 1) if audiences[at].any() and self._others[at]]
        if not periods:
            return after
        at = chance.choice(periods)
        source = int(chance.choice(np.flatnonzero(after[at])))
        others = self._parts == self._parts[source]
        targets = np.flatnonzero(others if mask is None else others & (mask != mask[source]))
        if not len(targets):
            return after
        target = int(chance.choice(targets))
        _move(after[at], source, target, self._some(after[at, source]))
        back = [other for other in range(len(after)) if other != at and after[other, target] and self._others[other]]
        if back and chance.random() < 0.5:
            other = chance.choice(back)
            _move(after[other], target, source, self._some(after[other, target]))
        return after

    def _some(self, people: int) -> int:
        return int(people) if self._chance.random() < 0.5 else self._chance.randint(1, int(people))

    def _wander(self, tries: int) -> None:
        """Go from explanation to explanation: most cells are cleared on the way."""
        here = self._pool[0]
        for _ in range(tries):
            after = self._moved(here, 0, len(here) - 1)
            if self._excess(after) == 0:
                here = after
                self._note(here)

    def _search(self, first: int, last: int, group: int, tries: int) -> None:
        """Anneal towards nobody in the group, or towards k and more."""
        mask, chance = self._masks[:, group], self._chance
        here = chance.choice(self._pool)
        people = float((here * self._others)[first : last + 1].sum())
        aim = self._min_cell if people >= self._min_cell and chance.random() < 0.5 else 0

        def energy(audiences: Audiences) -> float:
            value = float((audiences * self._others)[first : last + 1].sum(axis=0) @ mask)
            return (max(aim - value, 0.0) if aim else value) + 3 * self._excess(audiences)

        now = energy(here)
        for step in range(tries):
            anywhere = chance.random() < 0.5
            after = self._moved(here, 0, len(here) - 1) if anywhere else self._moved(here, first, last, mask)
            then = energy(after)
            heat = 0.5 * (1 - step / tries) + 0.02
            if then <= now or chance.random() < math.exp((now - then) / heat):
                here, now = after, then
                if now == 0:
                    self._note(here)
                    return


def _move(audience: np.ndarray, source: int, target: int, people: int) -> None:
    audience[source] -= people
    audience[target] += people


def groups_of(order: Order) -> dict[str, np.ndarray]:
    """Return every cell, and the cells of each gender and age band together."""
    groups = {" ".join(map(str, key)): np.array([each == key for each in order]) for key in order}
    for at, name in ((1, "gender"), (2, "band")):
        for value in sorted({str(key[at]) for key in order}):
            groups[f"{name} {value}"] = np.array([key[at] == value for key in order])
    # How many there are in all is said: a count of heads is no cell.
    return {name: mask for name, mask in groups.items() if not mask.all()}
