"""How good predictions are against labels: boxes by average precision; ages and genders by error and calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.geometry import Box, iou
from edge_agender.vision.faces import Detection

MIN_IOU = 0.5
MIN_HEIGHTS = (0.04, 0.08, 0.15)
AGE_BANDS = ((0, 12), (13, 17), (18, 24), (25, 34), (35, 44), (45, 54), (55, 64), (65, 200))
CALIBRATION_BINS = 10
# Where a group such as 70+ ends.
OLDEST = 96.0


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """One labelled face of a scene; `ignore` where it is too unclear to count either way."""

    box: Box
    ignore: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture's labels and what was found in it, boxes in its pixels."""

    height_px: float
    labels: tuple[LabelledBox, ...]
    found: tuple[Detection, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """One labelled person beside what was estimated of them; years_sd is NaN where the model gives none.

    `ages`: the first and the last age that the label allows, twice the same where it is exact.
    """

    ages: tuple[float, float]
    female: bool
    group: str
    years: float
    years_sd: float
    p_female: float


def average_precision(scenes: Iterable[Scene], min_height: float) -> dict[str, float]:
    """Return the average precision over 101 recalls, for faces at least `min_height` of their picture's height.

    A detection takes the best label still free that it overlaps by half. One on a label that is ignored or too small
    counts neither way.
    """
    scores: list[float] = []
    hits: list[bool] = []
    total = 0
    for scene in scenes:
        counts = [not label.ignore and label.box.height >= min_height * scene.height_px for label in scene.labels]
        total += int(sum(counts))
        for score, hit in _judge(scene, np.asarray(counts, bool)):
            scores.append(score)
            hits.append(hit)
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    right = np.asarray(hits, bool)[order]
    return {"faces": total, **_area(np.cumsum(right), np.cumsum(~right), total)}


def _judge(scene: Scene, counts: NDArray[np.bool_]) -> Iterable[tuple[float, bool]]:
    """Yield (score, right) of the detections that count."""
    found = sorted(scene.found, key=lambda each: -each.score)
    overlaps = iou([each.box for each in found], [label.box for label in scene.labels])
    free = np.ones(len(scene.labels), bool)
    for each, overlap in zip(found, overlaps, strict=True):
        open_ones = np.where(free, overlap, 0.0)
        best = int(np.argmax(open_ones)) if len(open_ones) else -1
        if best >= 0 and open_ones[best] >= MIN_IOU:
            free[best] = False
            if counts[best]:
                yield each.score, True
        elif not (overlap[~counts] >= MIN_IOU).any():
            yield each.score, False


def _area(right: NDArray[np.int_], wrong: NDArray[np.int_], total: int) -> dict[str, float]:
    if not len(right) or not total:
        return {"ap": 0.0, "max_recall": 0.0}
    recall, precision = right / total, right / (right + wrong)
    # The best precision at this recall or a higher one: a curve that only falls.
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    reached = places < len(recall)
    ap = float(np.sum(best_from_here[places[reached]])) / 101
    return {"ap": round(ap, 4), "max_recall": round(float(recall[-1]), 4)}


def summary(people: Sequence[Judged]) -> dict[str, float | None]:
    """Return the errors over some people; None where a figure has no meaning."""
    low, high = np.asarray([each.ages for each in people], float).T
    years, sd, p_female = (
        np.asarray([getattr(each, name) for each in people], float) for name in ("years", "years_sd", "p_female")
    )
    female = np.asarray([each.female for each in people], bool)
    # Of a group of ages: the distance to it, 0 inside.
    error = np.maximum(np.maximum(low - years, years - high), 0)
    right = (p_female >= 0.5) == female
    return {
        "n": len(people),
        "mae_years": round(float(error.mean()), 3),
        "bias_years": round(float((years - (low + high) / 2).mean()), 3),
        "within_5": round(float((error <= 5).mean()), 4),
        "in_group": round(float((error == 0).mean()), 4) if (low < high).all() else None,
        "gender_accuracy": round(float(right.mean()), 4),
        "gender_ece": round(calibration_error(np.maximum(p_female, 1 - p_female), right), 4),
        "within_1_sd": None if np.isnan(sd).any() else round(float((error <= sd).mean()), 4),
    }


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error (Naeini et al. 2015) over ten bins of confidence from 0.5 to 1."""
    places = np.clip(((confidence - 0.5) * 2 * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    total = 0.0
    for place in range(CALIBRATION_BINS):
        here = places == place
        if here.any():
            total += float(here.mean()) * abs(float(right[here].mean()) - float(confidence[here].mean()))
    return total


def by(people: Sequence[Judged], key: Callable[[Judged], str]) -> dict[str, dict[str, float | None]]:
    """Return the summary of each part of the people that `key` names, in the order of the names."""
    parts: dict[str, list[Judged]] = {}
    for each in people:
        parts.setdefault(key(each), []).append(each)
    return {name: summary(parts[name]) for name in sorted(parts, key=_by_first_number)}


def band_of(each: Judged) -> str:
    """Return the age band of somebody's true age, or the group of ages as it is labelled."""
    age, until = each.ages
    if age < until:
        return f"{age:g}+" if until == OLDEST else f"{age:g}-{until - 1:g}"
    low, high = next((low, high) for low, high in AGE_BANDS if low <= age < high + 1)
    return f"{low}-{high}"


def group_of(each: Judged) -> str:
    return f"{each.group}/{'female' if each.female else 'male'}"


def _by_first_number(name: str) -> tuple[int, str]:
    digits = name.rstrip("+").split("-")[0]
    return (int(digits), "") if digits.isdigit() else (0, name)
