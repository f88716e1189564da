"""From an estimate to the words of a report: age bands, gender labels."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from edge_agender.audience.measures import Gender, Person
from edge_agender.vision.faces import Estimate

UNKNOWN = "unknown"
GENDERS: tuple[Gender, ...] = ("female", "male", "unknown")
# Models are trained on whole years, as people count: at 17.4 on that scale somebody is more likely 17 than 18.
HALF_YEAR = 0.5
UNKNOWN_PERSON = Person(None, None, "unknown", None)


class AgeBands:
    """The configured bands: lower ends (13, 18) make 0-12, 13-17, 18+."""

    def __init__(self, lower_ends: Sequence[int]) -> None:
        self._ends = tuple(lower_ends)
        lows, highs = (0, *self._ends), (*(end - 1 for end in self._ends), None)
        bands = (f"{low}+" if high is None else f"{low}-{high}" for low, high in zip(lows, highs, strict=True))
        self.labels: tuple[str, ...] = (*bands, UNKNOWN)
        # Without the one of whoever could not be estimated.
        self.known: tuple[str, ...] = self.labels[:-1]
        pairs = [(("female", band), ("male", band)) for band in self.known]
        # Every cell of gender and age that can occur, each beside its neighbours: women and men by turns.
        self.cells: tuple[tuple[str, str], ...] = (
            *(cell for at, pair in enumerate(pairs) for cell in (pair if at % 2 == 0 else pair[::-1])),
            (UNKNOWN, UNKNOWN),
        )

    def of(self, years: float | None) -> str:
        """Return the band of an age in years; 'unknown' for None. 17.9 years are 17, as people count."""
        return UNKNOWN if years is None else self.labels[bisect_right(self._ends, math.floor(years))]

    def fractions(self, estimate: Estimate | None) -> dict[tuple[str, str], float]:
        """Return how much of somebody belongs to each cell, in all 1; without an estimate, to the unknown one.

        The age is taken as normally distributed about the estimate; where no deviation is known, as certain.
        """
        if estimate is None:
            return {(UNKNOWN, UNKNOWN): 1.0}
        parts = self._parts(estimate.years, estimate.years_sd)
        by_gender = (("female", estimate.p_female), ("male", 1 - estimate.p_female))
        return {
            (gender, band): weight * part
            for band, part in zip(self.labels, parts, strict=False)
            for gender, weight in by_gender
            if weight * part > 0
        }

    def _parts(self, years: float, sd: float) -> list[float]:
        """Return the probability of each band."""
        if not sd > 0:
            band = self.of(years)
            return [float(label == band) for label in self.labels[:-1]]
        below = [0.5 * (1 + math.erf((end - HALF_YEAR - years) / sd / math.sqrt(2))) for end in self._ends]
        return [high - low for low, high in zip([0.0, *below], [*below, 1.0], strict=True)]


def person(estimate: Estimate | None, min_gender_confidence: float) -> Person:
    """Return what may be said of somebody, the gender only where it is at least that probable."""
    if estimate is None:
        return UNKNOWN_PERSON
    confidence = max(estimate.p_female, 1 - estimate.p_female)
    label: Gender = "female" if estimate.p_female >= 0.5 else "male"
    years = min(max(estimate.years, 0.0), 120.0)
    sd = None if math.isnan(estimate.years_sd) else estimate.years_sd
    return Person(years, sd, label if confidence >= min_gender_confidence else "unknown", confidence)
