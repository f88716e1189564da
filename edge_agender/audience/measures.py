"""What an audience amounts to, in numbers: the values between audience, privacy and messages. All are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from edge_agender.vision.faces import Estimate

Gender = Literal["female", "male", "unknown"]
Distance = Literal["near", "mid", "far", "unknown"]


class Person(NamedTuple):
    """Age and gender of somebody, with their uncertainty; None before there is an estimate."""

    years: float | None
    years_sd: float | None
    gender: Gender
    gender_confidence: float | None


@dataclass(frozen=True, slots=True)
class FrameView:
    """The audience in one frame.

    `by_age_band` holds every band, `cells` those that are not empty. `people` are ordered by age, not by identity; None
    where single persons are not released.
    """

    sequence: int
    utc_s: float
    count: int
    by_gender: Mapping[Gender, int]
    by_age_band: Mapping[str, int]
    cells: Mapping[tuple[Gender, str], int]
    mean_age: float | None
    people: tuple[Person, ...] | None


@dataclass(frozen=True, slots=True)
class ContentShare:
    """What of a visit fell to one content. `attention_s` is None where looks were not measured."""

    id: str
    dwell_s: float
    attention_s: float | None


@dataclass(frozen=True, slots=True)
class Visit:
    """One person's stay, known once it is over. Exact, so it stays in the device: privacy makes a Viewer of it."""

    first_utc_s: float
    last_utc_s: float
    dwell_s: float
    attention_s: float | None
    glances: int | None
    person: Person
    estimate: Estimate | None
    distance: Distance
    content: tuple[ContentShare, ...]
    is_pass: bool
    is_viewer: bool
    is_engaged: bool


@dataclass(frozen=True, slots=True)
class Viewer:
    """What is released of a visit. `start_utc_s` is a full minute."""

    start_utc_s: float
    dwell_s: float
    attention_s: float | None
    glances: int | None
    person: Person
    distance: Distance
    content: tuple[ContentShare, ...]


class CellKey(NamedTuple):
    """A cell of the demographics. `content` is None where they are not split by it, or nothing was shown."""

    content: str | None
    gender: str
    age_band: str


@dataclass(frozen=True, slots=True)
class Demographics:
    """Who the viewers of a period were: (cell, viewers, standard deviation), viewers in multiples of `min_cell`.

    The cells and `withheld` sum to `viewers` and `brought_forward`.
    """

    number: int
    start_utc_s: float
    length_s: int
    historical: bool
    covered_s: float
    viewers: int
    brought_forward: int
    withheld: int
    min_cell: int
    cells: tuple[tuple[CellKey, int, float], ...]


@dataclass(frozen=True, slots=True)
class ContentWindow:
    """What happened while one content was on the sign; `id` None: contents of too few viewers, and no content.

    None for what is not released.
    """

    id: str | None
    shown_s: float
    viewers: int | None
    dwell_s: float | None
    attention_s: float | None


@dataclass(frozen=True, slots=True)
class Stays:
    """How long a window's viewers stayed; `histogram` None where it would show few of them."""

    total_s: float
    histogram: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Attention:
    """How long a window's viewers looked: of those whose looks were measured."""

    viewers: int
    engaged: int
    total_s: float
    glances: int


@dataclass(frozen=True, slots=True)
class Window:
    """What is released of one span of time, None for what is not. Fields as in the message."""

    number: int
    start_utc_s: float
    length_s: int
    historical: bool
    covered_s: float
    opportunities_to_see: int
    viewers: int
    dwell: Stays | None
    attention: Attention | None
    mean_count: float | None
    peak_count: int
    content: tuple[ContentWindow, ...]
    light: float | None
    throttled: bool | None


@dataclass(frozen=True, slots=True)
class Content:
    """What the sign shows, `id` None for nothing, until `until_utc_s` (None: until told otherwise)."""

    id: str | None
    until_utc_s: float | None = None

    def at(self, utc_s: float) -> str | None:
        """Return what is shown at a moment after it was told."""
        return self.id if self.until_utc_s is None or utc_s < self.until_utc_s else None
