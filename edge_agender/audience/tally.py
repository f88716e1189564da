"""What is counted in one window while it is open. Plain numbers, so that a restart can take them over."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agender.audience.demography import GENDERS, AgeBands
from edge_agender.audience.measures import Gender, Visit

# Lower ends of the classes of the dwell histogram, in seconds: the message names them.
DWELL_CLASSES_S = (5, 15, 30, 60)

# More seconds or persons than any window has: a state that says so is damaged.
_ENDLESS = 1e12
# Contents told apart in one window or visit; a player that makes up a new id each time must not fill memory and broker.
MOST_CONTENTS = 100
_NO_NUMBERS = ("histogram", "cells", "content", "throttled")

Cells = Counter[tuple[Gender, str]]


@dataclass
class ContentTally:
    """What happened while one content was shown. `cells`: viewers who saw it longest, by gender and age band."""

    shown_s: float = 0.0
    count_s: float = 0.0
    viewers: int = 0
    dwell_s: float = 0.0
    attention_s: float = 0.0
    cells: Cells = field(default_factory=Counter)


@dataclass
class Tally:
    """One window's sums. `number` is which window of this device it is.

    `count_s` and `luma_s` are sums over time, to be divided by seconds.
    """

    number: int = 0
    covered_s: float = 0.0
    count_s: float = 0.0
    peak_count: int = 0
    luma_s: float = 0.0
    luma_covered_s: float = 0.0
    throttled: bool | None = None
    passes: int = 0
    viewers: int = 0
    dwell_s: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * (len(DWELL_CLASSES_S) + 1))
    attention_viewers: int = 0
    attention_s: float = 0.0
    glances: int = 0
    cells: Cells = field(default_factory=Counter)
    content: dict[str, ContentTally] = field(default_factory=dict)

    def watch(self, seconds: float, count: int, luma: float | None, content: str | None) -> None:
        """Take in a time during which `count` persons were in view."""
        self.covered_s += seconds
        self.count_s += seconds * count
        if luma is not None:
            self.luma_s += seconds * luma
            self.luma_covered_s += seconds
        if content is not None and (shown := self._told_apart(content)) is not None:
            shown.shown_s += seconds
            shown.count_s += seconds * count

    def leave(self, visit: Visit, bands: AgeBands) -> None:
        """Take in a visit that is over."""
        self.passes += 1
        if not visit.is_viewer:
            return
        cell = (visit.person.gender, bands.of(visit.person.years))
        self.viewers += 1
        self.dwell_s += visit.dwell_s
        self.histogram[bisect_right(DWELL_CLASSES_S, visit.dwell_s)] += 1
        self.cells[cell] += 1
        if visit.attention_s is not None:
            self.attention_viewers += 1
            self.attention_s += visit.attention_s
            self.glances += visit.glances or 0
        for share in visit.content:
            if (shown := self._told_apart(share.id)) is not None:
                shown.viewers += 1
                shown.dwell_s += share.dwell_s
                shown.attention_s += share.attention_s or 0.0
        if visit.content:
            longest = max(visit.content, key=lambda share: share.dwell_s)
            if (shown := self._told_apart(longest.id)) is not None:
                shown.cells[cell] += 1

    def _told_apart(self, id_: str) -> ContentTally | None:
        """The content's own sums; None where there are too many of them already."""
        if id_ not in self.content and len(self.content) < MOST_CONTENTS:
            self.content[id_] = ContentTally()
        return self.content.get(id_)


def to_plain(tally: Tally) -> dict[str, Any]:
    """Return the tally in JSON's types."""
    return {
        **vars(tally),
        "cells": _cells_to_plain(tally.cells),
        "content": {
            id_: {**vars(content), "cells": _cells_to_plain(content.cells)} for id_, content in tally.content.items()
        },
    }


def from_plain(data: Mapping[str, Any]) -> Tally:
    """Return the tally that to_plain gave; raise ValueError for anything else."""
    try:
        content = {
            str(id_): ContentTally(**{**part, "cells": _cells_from_plain(part["cells"])})
            for id_, part in data["content"].items()
        }
        tally = Tally(**{**data, "cells": _cells_from_plain(data["cells"]), "content": content})
        _check(tally)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a window's state: {error}") from None
    return tally


def _check(tally: Tally) -> None:
    if len(tally.histogram) != len(DWELL_CLASSES_S) + 1:
        raise ValueError("not a window's state: another dwell histogram")
    parts: list[Tally | ContentTally] = [tally, *tally.content.values()]
    for part in parts:
        numbers = [value for name, value in vars(part).items() if name not in _NO_NUMBERS]
        if not all(isinstance(n, int | float) and 0 <= n < _ENDLESS for n in (*numbers, *part.cells.values())):
            raise ValueError("not a window's state: a number is out of range")
    if not all(isinstance(n, int) and 0 <= n < _ENDLESS for n in tally.histogram):
        raise ValueError("not a window's state: a number is out of range")


def _cells_to_plain(cells: Cells) -> list[list[Any]]:
    return [[gender, band, count] for (gender, band), count in cells.items()]


def _cells_from_plain(cells: Any) -> Cells:
    """Raises ValueError for a gender that there is none of."""
    return Counter({(GENDERS[GENDERS.index(gender)], str(band)): int(count) for gender, band, count in cells})
