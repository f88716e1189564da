"""Viewers by gender and age band with what the model's own uncertainty makes of each cell. Values only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.measures import Person

# A model that gives no deviation of an age is taken to err by this much.
USUAL_SD_YEARS = 6.0


@dataclass(frozen=True, slots=True)
class Share:
    """`viewers` is the sum of what each one is likely to be, `sd` one standard deviation of that sum."""

    gender: str
    band: str
    viewers: float
    sd: float


def shares(people: Iterable[Person], lower_ends: Sequence[int]) -> list[Share]:
    """Return every cell of female and male by age band, and what is of unknown age or gender as one each.

    Each person is shared out by the probability of either gender and the part of a normal distribution of the age
    that falls into each band; cells of one person are independent trials (Poisson's binomial).
    """
    labels = AgeBands(lower_ends).labels
    sums: dict[tuple[str, str], list[float]] = {(gender, band): [0.0, 0.0] for gender in ("female", "male", "unknown")
                                                for band in labels}  # fmt: skip
    for person in people:
        for gender, likely in _genders(person).items():
            for band, part in zip(labels, _bands(person, lower_ends), strict=True):
                cell, p = sums[gender, band], likely * part
                cell[0] += p
                cell[1] += p * (1 - p)
    return [Share(gender, band, total, math.sqrt(var)) for (gender, band), (total, var) in sums.items()]


def _genders(person: Person) -> dict[str, float]:
    if person.gender == "unknown" or person.gender_confidence is None:
        return {"unknown": 1.0}
    other = "male" if person.gender == "female" else "female"
    return {person.gender: person.gender_confidence, other: 1 - person.gender_confidence}


def _bands(person: Person, lower_ends: Sequence[int]) -> list[float]:
    """Return the part of each band, the unknown one last."""
    if person.years is None:
        return [0.0] * (len(lower_ends) + 1) + [1.0]
    below = [_normal((end - person.years) / (person.years_sd or USUAL_SD_YEARS)) for end in lower_ends]
    return [high - low for low, high in zip([0.0, *below], [*below, 1.0], strict=True)] + [0.0]


def _normal(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))
