"""What an audience amounts to, in numbers: the values between audience, privacy and messages. All are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple


class Person(NamedTuple):
    """Age and gender of somebody, with their uncertainty; None before there is an estimate."""

    years: float | None
    years_sd: float | None
    gender: Gender
    gender_confidence: float | None


@dataclass(frozen=True, slots=True)
class FrameView:
    """The audience in one frame. `by_age_band` holds every band; `people` are ordered by age, not by identity."""

    sequence: int
    utc_s: float
    people: tuple[Person, ...]
    by_gender: Mapping[Gender, int]
    by_age_band: Mapping[str, int]
    mean_age: float | None

    @property
    def count(self) -> int:
        return len(self.people)


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
    distance: Distance
    content: tuple[ContentShare, ...]
    is_viewer: bool


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


@dataclass(frozen=True, slots=True)
class Cell:
    gender: Gender
    age_band: str
    viewers: int


@dataclass(frozen=True, slots=True)
class Demographics:
    """Viewers by gender and age band, small cells left out; `suppressed` is what the cells left out sum to."""

    min_cell: int
    cells: tuple[Cell, ...]
    suppressed: int


@dataclass(frozen=True, slots=True)
class ContentWindow:
    """What happened while one content was on the sign."""

    id: str
    shown_s: float
    mean_count: float | None
    viewers: int
    dwell_s: float
    attention_s: float
    demographics: Demographics | None


@dataclass(frozen=True, slots=True)
class Window:
    """What is released of one span of time. Fields as in the message."""

    number: int
    start_utc_s: float
    length_s: int
    historical: bool
    covered_s: float
    opportunities_to_see: int
    viewers: int
    dwell_total_s: float
    dwell_histogram: tuple[int, ...]
    attention_viewers: int
    attention_total_s: float
    glances: int
    mean_count: float | None
    peak_count: int
    demographics: Demographics | None
    content: tuple[ContentWindow, ...]
    light: float | None
    throttled: bool | None


Gender = Literal["female", "male", "unknown"]


Distance = Literal["near", "mid", "far", "unknown"]


@dataclass(frozen=True, slots=True)
class Content:
    """What the sign shows, `id` None for nothing, until `until_utc_s` (None: until told otherwise)."""

    id: str | None
    until_utc_s: float | None = None

    def at(self, utc_s: float) -> str | None:
        """Return what is shown at a moment after it was told."""
        return self.id if self.until_utc_s is None or utc_s < self.until_utc_s else None
