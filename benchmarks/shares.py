"""How far the demographics miss the true audience: audiences drawn from labelled faces that no model was trained on.

Each face is estimated as a camera's is (both ways round); audiences of known age and gender are drawn from them, and
counted by hard bands, by fractions, and as published: fractions in multiples of min_cell, with what is carried on.
`floor` is what nobody could do better with these estimates: who knows the audience's true ages and genders and how
often each estimate comes of each of them, and says of every viewer how probable each cell is. Nothing is rounded in it.

    python -m benchmarks.shares ../shared/data [--age-bands 18 35 55]
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from benchmarks.strangers import Known, estimated
from edge_agender.audience.demography import AgeBands, person
from edge_agender.audience.periods import Periods
from edge_agender.audience.shares import OF_TOTAL, PER_VIEWER, deviation
from edge_agender.common.output import run_script
from edge_agender.config.audience import AudienceConfig
from edge_agender.vision.tracking.evidence import SHARED_VARIANCE
from tests.support.visits import NOON_S, visit

# Shares of the ages from each of these on; women and men are alike.
DRAWN_FROM = (13, 18, 25, 35, 45, 55, 65)
DRAWN = AgeBands(DRAWN_FROM)
AUDIENCES = {
    "uniform": (1, 1, 1, 1, 1, 1, 1, 1),
    "commuters": (2, 5, 13, 30, 24, 16, 7, 3),
    "a quarter 65+": (8, 5, 9, 13, 13, 13, 14, 25),
}
Cells = dict[tuple[str, str], float]
SIZES = (50, 200, 1000)
# Widths of the kernels by which the floor's densities are smoothed: years, and log-odds of the gender.
YEARS_WIDTH, ODDS_WIDTH = 2.5, 0.7


@dataclass(frozen=True)
class Table:
    """What is counted: strangers in these bands."""

    known: Sequence[Known]
    bands: AgeBands

    @property
    def cells(self) -> list[tuple[str, str]]:
        return [cell for cell in self.bands.cells if cell[0] != "unknown"]

    def truth(self, audience: Sequence[int]) -> Cells:
        return self._sum((self.known[at].cell(self.bands), 1.0) for at in audience)

    def hard(self, audience: Sequence[int]) -> Cells:
        """Count the likeliest band and gender of each; a gender that is too uncertain is in none."""
        people = [person(self.known[at].estimate, AudienceConfig().min_gender_confidence) for at in audience]
        return self._sum(((who.gender, self.bands.of(who.years)), 1.0) for who in people)

    def fractions(self, audience: Sequence[int]) -> Cells:
        """Count fractions, not rounded."""
        return self._sum(part for at in audience for part in self.bands.fractions(self.known[at].estimate).items())

    def published(self, before: Sequence[int], audience: Sequence[int], min_cell: int, chance: random.Random) -> Cells:
        """Return the cells of a period's message; another audience of the same kind came the period before."""
        book = Periods(3600, 2.0, self.bands, min_cell=min_cell, by_content=False, chance=chance.random)
        for hour, people in enumerate((before, audience)):
            for at in people:
                book.leave(visit(hour * 3600 + 60, estimate=self.known[at].estimate))
        period = book.due(NOON_S + 2 * 3600 + 2)[-1]
        return self._sum(((key.gender, key.age_band), float(viewers)) for key, viewers, _ in period.cells)

    def floor(self, audience: Sequence[int], shares: Sequence[int]) -> Cells:
        """Return the sums of the cells' probabilities for who knows the shares and the estimator's errors."""
        often = self._densities[list(audience)] * np.array([share / sum(shares) for share in (*shares, *shares)])
        often /= often.sum(axis=1, keepdims=True)
        sums = dict(zip(product(("female", "male"), DRAWN.known), often.sum(axis=0), strict=True))
        lows = dict(zip(DRAWN.known, (0, *DRAWN_FROM), strict=True))
        return self._sum(((gender, self.bands.of(lows[band])), float(part)) for (gender, band), part in sums.items())

    @cached_property
    def _densities(self) -> np.ndarray:
        """How often estimates like each stranger's come of each drawn cell, of all other strangers."""
        years = np.array([each.estimate.years for each in self.known])
        p = np.clip([each.estimate.p_female for each in self.known], 0.01, 0.99)
        odds = np.log(p / (1 - p))
        cell_of = [each.cell(DRAWN) for each in self.known]
        densities = np.zeros((len(years), 2 * len(DRAWN.known)))
        for at, cell in enumerate(product(("female", "male"), DRAWN.known)):
            mine = np.array([each == cell for each in cell_of])
            off = (years[:, None] - years[mine]) / YEARS_WIDTH, (odds[:, None] - odds[mine]) / ODDS_WIDTH
            near = np.exp(-0.5 * (off[0] ** 2 + off[1] ** 2))
            near[mine] -= np.eye(int(mine.sum()))
            densities[:, at] = near.sum(axis=1) / np.maximum(mine.sum() - mine, 1) + 1e-9
        return densities

    def _sum(self, parts: Iterable[tuple[tuple[str, str], float]]) -> Cells:
        sums = dict.fromkeys(self.cells, 0.0)
        for cell, part in parts:
            if cell in sums:
                sums[cell] += part
        return sums


def draw(pool: dict[str, list[int]], shares: Sequence[int], size: int, chance: random.Random) -> list[int]:
    """Return an audience of that many, its ages by the shares, women and men alike."""
    return [chance.choice(pool[band]) for band in chance.choices(DRAWN.known, shares, k=size)]


def missed(cells: Cells, truth: Cells, *, bands: bool) -> float:
    """Return half the sum of what shares differ by, in points of 100: 0 is right, 100 is all wrong."""
    total, true_total = max(sum(cells.values()), 1e-9), sum(truth.values())
    off = Cells()
    for cell in truth:
        key = ("", cell[1]) if bands else cell
        off[key] = off.get(key, 0.0) + cells[cell] / total - truth[cell] / true_total
    return 50 * sum(abs(part) for part in off.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--min-cell", type=int, default=5)
    parser.add_argument("--age-bands", type=int, nargs="+", default=AudienceConfig().age_bands)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    known = estimated(options.data)
    single(known)
    report(Table(known, AgeBands(options.age_bands)), options.draws, options.min_cell)


def single(known: Sequence[Known]) -> None:
    """Print how far single persons' ages are off."""
    sd = np.array([each.estimate.years_sd for each in known]) * math.sqrt(SHARED_VARIANCE)
    off = np.abs([each.estimate.years - each.age for each in known])
    inside = [100 * float(np.mean(off <= times * sd)) for times in (1, 2)]
    print(
        f"{len(known)} strangers: {off.mean():.1f} years off; of a long visit the deviation is {sd.mean():.1f} years,"
    )
    print(f"which holds {inside[0]:.0f} % of ages, twice it {inside[1]:.0f} %")


def report(table: Table, draws: int, min_cell: int) -> None:
    chance = random.Random(11)
    heads = "".join(f"{name:>14}" for name in ("hard", "fractions", "published", "floor"))
    print(f"{'points of 100 missed, by cell / by age band':46}{heads}")
    pool: dict[str, list[int]] = {}
    for at, each in enumerate(table.known):
        pool.setdefault(DRAWN.of(each.age), []).append(at)
    pulls: list[tuple[float, float, float]] = []
    for size in SIZES:
        for name, shares in AUDIENCES.items():
            rows = []
            for _ in range(draws):
                audience, before = draw(pool, shares, size, chance), draw(pool, shares, size, chance)
                truth, told = table.truth(audience), table.published(before, audience, min_cell, chance)
                pulls += [(told[cell], sum(told.values()), told[cell] - truth[cell]) for cell in table.cells]
                ways = (table.hard(audience), table.fractions(audience), told, table.floor(audience, shares))
                rows.append([missed(way, truth, bands=bands) for way in ways for bands in (False, True)])
            mean = np.mean(rows, axis=0)
            words = "".join(f"{mean[at]:8.1f} /{mean[at + 1]:4.1f}" for at in (0, 2, 4, 6))
            print(f"{size:5} {name:40}{words}", flush=True)
    coverage(pulls, min_cell)


def coverage(pulls: list[tuple[float, float, float]], min_cell: int) -> None:
    """Print how often the truth lies within one and two published deviations, and the figures that fit best."""
    table = np.array(pulls)
    sd = np.array([deviation(int(viewers), int(total), min_cell) for viewers, total, _ in pulls])
    inside = [100 * float(np.mean(np.abs(table[:, 2]) <= times * sd)) for times in (1, 2)]
    print(f"published cells within 1 sd: {inside[0]:.0f} %, within 2 sd: {inside[1]:.0f} %")
    rest = table[:, 2] ** 2 - min_cell**2 / 6
    terms = np.column_stack([table[:, 0], table[:, 1] ** 2])
    # Weighted, since the squares of large cells scatter most.
    weight = 1 / np.maximum(sd**2, 1)
    fitted = np.linalg.lstsq(terms * weight[:, None], rest * weight, rcond=None)[0]
    print(f"in use: {PER_VIEWER}, {OF_TOTAL}; fitted: {fitted[0]:.2f}, {np.sqrt(max(fitted[1], 0)):.3f}")


if __name__ == "__main__":
    run_script(main)
