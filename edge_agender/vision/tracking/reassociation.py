"""Reassociation: how likely a face that comes to the place where one was lost a moment ago is the same person.

Nothing describes the face but what is published of it anyway: where it was, how large, and its estimate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from edge_agender.vision.faces import Estimate

# In parts of the face's size. Who stood still is found so far from where it was lost, and drifts with the root of
# time. These figures were swept on the simulator of tests/, seeds 1 to 3.
STANDS_SD, DRIFT_SD = 0.45, 0.18
# Who walked goes on about as fast, for a second or two; beyond that its speed tells nothing.
WALKS_SD, SPEED_SD = 0.35, 0.6
# At this speed, sizes a second, half of those who are lost walk on.
WALKING = 1.2
SIZE_SD, SIZE_DRIFT_SD = 0.15, 0.06
# Of those who are lost, so many come back at all; the others have left.
RETURNS = 0.5
# Newcomers a square face size and unit of log size, as in the tracker.
NEW_DENSITY = 0.04
# Two estimates of one person differ by less than those of two persons, years and log-odds, the less the more crops they
# are of, up to so many: crops of one track vary by half of what the network says (benchmarks/spread.py).
SAME_YEARS_SD, CROP_YEARS_SD, OTHER_YEARS_SD = 3.0, 3.2, 21.0
SAME_ODDS_SD, CROP_ODDS_SD, OTHER_ODDS_SD = 0.8, 1.1, 3.6
MOST_CROPS = 5
MAX_ODDS = 4.0

# An estimate, and of how many crops.
Looks = tuple[Estimate | None, int]


class Place(NamedTuple):
    """Where a face is, in pixels, how it moves, pixels a second, and its log size in pixels."""

    x: float
    y: float
    log_size: float
    rate_x: float = 0.0
    rate_y: float = 0.0


def same_person(lost: Place, found: Place, gone_s: float) -> float:
    """Return the log likelihood ratio of a face found `gone_s` after another was lost: the same, or somebody new."""
    size = math.exp((lost.log_size + found.log_size) / 2)
    speed = math.hypot(lost.rate_x, lost.rate_y) / size
    walked = 1 / (1 + (WALKING / max(speed, 1e-6)) ** 2)
    dx, dy = (found.x - lost.x) / size, (found.y - lost.y) / size
    stood = _density(dx, dy, STANDS_SD**2 + DRIFT_SD**2 * gone_s)
    ahead_x, ahead_y = dx - lost.rate_x / size * gone_s, dy - lost.rate_y / size * gone_s
    walks = _density(ahead_x, ahead_y, WALKS_SD**2 + (SPEED_SD * gone_s) ** 2)
    variance = SIZE_SD**2 + SIZE_DRIFT_SD**2 * gone_s
    of_size = math.exp(-((found.log_size - lost.log_size) ** 2) / 2 / variance) / math.sqrt(2 * math.pi * variance)
    likely = RETURNS * ((1 - walked) * stood + walked * walks) * of_size
    return math.log(max(likely, 1e-30) / NEW_DENSITY)


def same_looks(first: Looks, second: Looks) -> float:
    """Return the log likelihood ratio of two estimates: one person, or two of an audience; 0 where one is missing."""
    (one, crops), (other, more) = first, second
    if one is None or other is None:
        return 0.0
    noise = 1 / min(crops, MOST_CROPS) + 1 / min(more, MOST_CROPS)
    same_years = math.sqrt(SAME_YEARS_SD**2 + CROP_YEARS_SD**2 * noise)
    same_odds = math.sqrt(SAME_ODDS_SD**2 + CROP_ODDS_SD**2 * noise)
    years = _ratio(one.years - other.years, same_years, OTHER_YEARS_SD)
    return years + _ratio(_odds(one.p_female) - _odds(other.p_female), same_odds, OTHER_ODDS_SD)


def _ratio(difference: float, same_sd: float, other_sd: float) -> float:
    return math.log(other_sd / same_sd) - difference**2 / 2 * (same_sd**-2 - other_sd**-2)


def _odds(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -MAX_ODDS), MAX_ODDS)


def _density(x: float, y: float, variance: float) -> float:
    return math.exp(-(x * x + y * y) / 2 / variance) / (2 * math.pi * variance)
