"""What is counted in one window while it is open. Plain numbers, so that a restart can take them over."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from edge_agender.audience.measures import Visit
from edge_agender.audience.spans import Kind, number, whole

# Lower ends of the classes of the dwell histogram, in seconds: the message names them.
DWELL_CLASSES_S = (5, 15, 30, 60)
# Contents told apart in one window or visit; a player that makes up a new id each time must not fill memory and broker.
MOST_CONTENTS = 100
# Time without a content, or of one content too many. Ids are never empty.
NO_CONTENT = ""
# The largest luma, and how far sums of floating point numbers may be off.
_WHITE, _ROUNDING = 255.0, 1e-6
# Who saw a content for less than a millisecond is no viewer of it.
LEAST_S = 1e-3


@dataclass
class ContentTally:
    """What happened while one content was shown."""

    shown_s: float = 0.0
    viewers: int = 0
    dwell_s: float = 0.0
    attention_s: float = 0.0

    def take(self, dwell_s: float, attention_s: float) -> None:
        self.viewers += 1
        self.dwell_s += dwell_s
        self.attention_s += attention_s


@dataclass
class Tally:
    """One window's sums. `number` is which window of this device it is.

    `count_s` and `luma_s` are sums over time, to be divided by seconds; `present` are the persons behind `count_s`;
    `fewest` is how many persons had to stand behind a figure when the window began (privacy.py).
    """

    number: int = 0
    fewest: int = 1
    covered_s: float = 0.0
    count_s: float = 0.0
    present: int = 0
    peak_count: int = 0
    luma_s: float = 0.0
    luma_covered_s: float = 0.0
    throttled: bool | None = None
    passes: int = 0
    viewers: int = 0
    engaged: int = 0
    dwell_s: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * (len(DWELL_CLASSES_S) + 1))
    attention_viewers: int = 0
    attention_s: float = 0.0
    glances: int = 0
    content: dict[str, ContentTally] = field(default_factory=dict)

    def watch(self, seconds: float, count: int, luma: float | None, content: str | None) -> None:
        """Take in a time during which `count` persons were in view."""
        self.covered_s += seconds
        self.count_s += seconds * count
        if luma is not None:
            self.luma_s += seconds * luma
            self.luma_covered_s += seconds
        self.content.setdefault(self._key(content), ContentTally()).shown_s += seconds

    def leave(self, visit: Visit) -> None:
        """Take in a visit that is over."""
        self.passes += visit.is_pass
        if not visit.is_viewer:
            return
        self.viewers += 1
        self.dwell_s += visit.dwell_s
        self.histogram[bisect_right(DWELL_CLASSES_S, visit.dwell_s)] += 1
        self.engaged += visit.is_engaged
        if visit.attention_s is not None:
            self.attention_viewers += 1
            self.attention_s += visit.attention_s
            self.glances += visit.glances or 0
        self._split(visit)

    def _split(self, visit: Visit) -> None:
        """Share the visit out among the contents; what remains fell to none."""
        rest_s = [visit.dwell_s, visit.attention_s or 0.0]
        parts = {NO_CONTENT: [0.0, 0.0]}
        for share in visit.content:
            seconds = share.dwell_s, share.attention_s or 0.0
            part = parts.setdefault(self._key(share.id), [0.0, 0.0])
            for at in (0, 1):
                part[at] += seconds[at]
                rest_s[at] -= seconds[at]
        parts[NO_CONTENT] = [max(part + rest, 0.0) for part, rest in zip(parts[NO_CONTENT], rest_s, strict=True)]
        for key, (dwell_s, attention_s) in parts.items():
            if dwell_s > LEAST_S or len(parts) == 1:
                self.content.setdefault(key, ContentTally()).take(dwell_s, attention_s)

    def _key(self, id_: str | None) -> str:
        """The content's id; NO_CONTENT where there are too many of them already."""
        full = id_ not in self.content and len(self.content) >= MOST_CONTENTS
        return NO_CONTENT if id_ is None or full else id_


def to_plain(tally: Tally) -> dict[str, Any]:
    """Return the tally in JSON's types."""
    return {**vars(tally), "content": {id_: {**vars(shown)} for id_, shown in tally.content.items()}}


def from_plain(data: Mapping[str, Any]) -> Tally:
    """Return the tally that to_plain gave; raise ValueError for anything else."""
    try:
        content = {str(id_): _read(ContentTally, part) for id_, part in data["content"].items()}
        tally = _read(Tally, {name: value for name, value in data.items() if name not in _APART})
        tally.content, tally.histogram = content, [whole(n) for n in data["histogram"]]
        tally.throttled = data["throttled"]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a window's state: {error!r}") from None
    _check(tally)
    return tally


_APART = ("content", "histogram", "throttled")
_Sums = TypeVar("_Sums", Tally, ContentTally)


def _read(kind: type[_Sums], data: Mapping[str, Any]) -> _Sums:
    """Return a dataclass of numbers; raise ValueError where one is missing, too many, or no number of its type."""
    types = {each.name: each.type for each in fields(kind) if each.name not in _APART}
    if types.keys() != data.keys():
        raise ValueError(f"not a window's state: {sorted(types.keys() ^ data.keys())}")
    numbers: dict[str, Any] = {
        name: whole(data[name]) if type_ == "int" else number(data[name]) for name, type_ in types.items()
    }
    return kind(**numbers)


def _check(tally: Tally) -> None:
    """Raise ValueError where the sums contradict each other."""
    right = (
        len(tally.histogram) == len(DWELL_CLASSES_S) + 1
        and sum(tally.histogram) == tally.viewers
        and tally.engaged <= tally.attention_viewers <= tally.viewers <= tally.passes
        and all(shown.viewers <= tally.viewers for shown in tally.content.values())
        and len(tally.content) <= MOST_CONTENTS + 1
        and (tally.throttled is None or isinstance(tally.throttled, bool))
        and tally.luma_s <= _WHITE * tally.luma_covered_s * (1 + _ROUNDING)
    )
    if not right:
        raise ValueError("not a window's state: its sums contradict each other")


def windows_of(fewest: int) -> Kind[Tally]:
    """Return windows that begin with that promise to those who come."""
    return Kind(lambda number: Tally(number, fewest), to_plain, from_plain)
