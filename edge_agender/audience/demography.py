"""From an estimate to the words of a report: age bands, gender labels."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from edge_agender.audience.measures import Gender, Person
from edge_agender.vision.faces import Estimate

UNKNOWN = "unknown"
GENDERS: tuple[Gender, ...] = ("female", "male", "unknown")
UNKNOWN_PERSON = Person(None, None, "unknown", None)


class AgeBands:
    """The configured bands: lower ends (13, 18) make 0-12, 13-17, 18+."""

    def __init__(self, lower_ends: Sequence[int]) -> None:
        self._ends = tuple(lower_ends)
        lows, highs = (0, *self._ends), (*(end - 1 for end in self._ends), None)
        bands = (f"{low}+" if high is None else f"{low}-{high}" for low, high in zip(lows, highs, strict=True))
        self.labels: tuple[str, ...] = (*bands, UNKNOWN)

    def of(self, years: float | None) -> str:
        """Return the band of an age in years; 'unknown' for None. 17.9 years are 17, as people count."""
        return UNKNOWN if years is None else self.labels[bisect_right(self._ends, math.floor(years))]


def person(estimate: Estimate | None, min_gender_confidence: float) -> Person:
    """Return what may be said of somebody, the gender only where it is at least that probable."""
    if estimate is None:
        return UNKNOWN_PERSON
    confidence = max(estimate.p_female, 1 - estimate.p_female)
    label: Gender = "female" if estimate.p_female >= 0.5 else "male"
    years = min(max(estimate.years, 0.0), 120.0)
    sd = None if math.isnan(estimate.years_sd) else estimate.years_sd
    return Person(years, sd, label if confidence >= min_gender_confidence else "unknown", confidence)
