"""What is written beside one face: values and words, no pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Estimate

# counted: a viewer, as the windows count one; seen: in view, and not (yet) a viewer; left_out: never counted.
Standing = Literal["counted", "seen", "left_out"]
Gender = Literal["female", "male", "unknown"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One face as it is drawn. `box` is in pixels of the picture; `aim` the end of the line of sight, same pixels."""

    box: Box
    lines: tuple[str, ...]
    gender: Gender
    standing: Standing
    looking: bool | None = None
    aim: tuple[float, float] | None = None


def age_text(estimate: Estimate) -> str:
    """Return such as "34 ± 5 years"."""
    if math.isnan(estimate.years_sd):
        return f"{estimate.years:.0f} years"
    return f"{estimate.years:.0f} ± {estimate.years_sd:.0f} years"


def gender_text(estimate: Estimate, min_confidence: float) -> str:
    """Return such as "female 0.94"; below the configured confidence, what it would be: "unknown (female 0.58)"."""
    likely, confidence = likelier(estimate)
    return f"{likely} {confidence:.2f}" if confidence >= min_confidence else f"unknown ({likely} {confidence:.2f})"


def likelier(estimate: Estimate) -> tuple[Literal["female", "male"], float]:
    """Return the more probable gender and its probability."""
    if estimate.p_female >= 0.5:
        return "female", estimate.p_female
    return "male", 1 - estimate.p_female


def shown_gender(estimate: Estimate | None, min_confidence: float) -> Gender:
    """Return the gender as messages would say it."""
    if estimate is None:
        return "unknown"
    likely, confidence = likelier(estimate)
    return likely if confidence >= min_confidence else "unknown"


def scaled(marks: Sequence[Mark], factor: float) -> list[Mark]:
    """Return the marks for a picture of another size."""
    return [_scaled(mark, factor) for mark in marks]


def _scaled(mark: Mark, factor: float) -> Mark:
    aim = None if mark.aim is None else (mark.aim[0] * factor, mark.aim[1] * factor)
    box = Box(*(side * factor for side in mark.box))
    return Mark(box, mark.lines, mark.gender, mark.standing, mark.looking, aim)
