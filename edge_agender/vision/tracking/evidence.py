"""One running estimate a person: what many crops of one face say together, and when another would add nothing."""

from __future__ import annotations

import math

from edge_agender.vision.faces import Estimate

# The errors of one person's frames are alike: a face that looks older than it is does so in every frame. This part
# of the variance does not fall with more frames, so neither does the published deviation below 0.87 of one frame's.
# Measured on five tracks of videos (benchmarks/spread.py): 0.54 to 0.91, median 0.79; on jittered stills, 0.99.
SHARED_VARIANCE = 0.75
# A network may be certain; a log-odds of 4 is 98 %, so no single frame outvotes all others.
MAX_LOG_ODDS = 4.0
# Another crop is worth its milliseconds while it takes this part off the standard deviation.
MIN_GAIN = 0.01
# Frames this close show the same crop again; a clearly better one is worth it at once.
MIN_SPACING_S = 0.15
CLEARLY_BETTER = 1.25
# So many crops of one quality say all that this quality can: what is blurred is blurred in every frame.
MAX_ALIKE = 10.0


class Evidence:
    """The mean of a track's estimates, weighted by the quality (0..1) of their crops."""

    __slots__ = ("_best", "_last_s", "_log_odds", "_variance", "_variance_weight", "_weight", "_years", "count")

    def __init__(self) -> None:
        self.count = 0
        self._weight = self._years = self._log_odds = 0.0
        self._variance = self._variance_weight = 0.0
        self._best, self._last_s = 0.0, float("-inf")

    def add(self, estimate: Estimate, quality: float, now_s: float) -> None:
        """Take in one crop's estimate; one that holds no number is skipped."""
        years, sd, p_female = estimate
        if not (math.isfinite(years) and math.isfinite(p_female) and quality > 0):
            return
        self.count += 1
        self._weight += quality
        self._years += quality * years
        self._log_odds += quality * _log_odds(p_female)
        if math.isfinite(sd):
            self._variance += quality * sd * sd
            self._variance_weight += quality
        self._best, self._last_s = max(self._best, quality), now_s
        self._limit()

    def merge(self, other: Evidence) -> None:
        """Take in what another track of the same person has gathered."""
        self.count += other.count
        self._weight += other._weight
        self._years += other._years
        self._log_odds += other._log_odds
        self._variance += other._variance
        self._variance_weight += other._variance_weight
        self._best, self._last_s = max(self._best, other._best), max(self._last_s, other._last_s)
        if self._weight:
            self._limit()

    @property
    def estimate(self) -> Estimate | None:
        """The estimate so far; its deviation is NaN where no network gave one. None before the first."""
        if not self._weight:
            return None
        sd = math.nan
        if self._variance_weight:
            sd = math.sqrt(self._variance / self._variance_weight) * _sd_factor(self._weight / self._best)
        p_female = 1 / (1 + math.exp(-self._log_odds / self._weight))
        return Estimate(self._years / self._weight, sd, p_female)

    def wants(self, quality: float, now_s: float) -> bool:
        """True where an estimate of a crop of this quality would say something new."""
        if quality <= 0:
            return False
        if quality >= CLEARLY_BETTER * self._best:
            return True
        if now_s - self._last_s < MIN_SPACING_S:
            return False
        crops = self._weight / self._best
        more = min(crops + quality / self._best, MAX_ALIKE)
        return 1 - _sd_factor(more) / _sd_factor(crops) >= MIN_GAIN

    def _limit(self) -> None:
        part = MAX_ALIKE * self._best / self._weight
        if part < 1:
            self._weight *= part
            self._years *= part
            self._log_odds *= part
            self._variance *= part
            self._variance_weight *= part


def mean_of(first: Estimate | None, second: Estimate | None) -> Estimate | None:
    """Return what two views of one face say together; the other one where a view gave nothing.

    The deviation is their mean one: mirror images err alike for the most part.
    """
    if first is None or second is None:
        return first or second
    years, sd = (first.years + second.years) / 2, (first.years_sd + second.years_sd) / 2
    return Estimate(years, sd, (first.p_female + second.p_female) / 2)


def _log_odds(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -MAX_LOG_ODDS), MAX_LOG_ODDS)


def _sd_factor(crops: float) -> float:
    """Deviation of the mean of so many crops of the best quality seen, in parts of one's.

    What all frames share stays, the rest falls with evidence. How sure the network is of a crop of this quality is its
    own to say: a poor crop has a large deviation already.
    """
    return math.sqrt(SHARED_VARIANCE + (1 - SHARED_VARIANCE) / crops)
