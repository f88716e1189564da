"""How far the demographics miss the true audience: audiences drawn from labelled faces that no model was trained on.

Each face is estimated as a camera's is (both ways round); audiences of known age and gender are drawn from them, and
counted by hard bands, by fractions, and as published: fractions in multiples of min_cell, with what is carried on.

    python -m benchmarks.shares ../shared/data [--landmarks teachers]
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agender.audience.demography import AgeBands, person
from edge_agender.audience.periods import Periods
from edge_agender.audience.shares import OF_TOTAL, PER_VIEWER, deviation
from edge_agender.config.audience import AudienceConfig
from edge_agender.config.settings import DetectorConfig, EstimatorConfig
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import mirrored
from edge_agender.vision.assembly import configured_detector, configured_estimator
from edge_agender.vision.faces import Detection, Estimate
from edge_agender.vision.pipeline import Detector, Estimator, cut
from edge_agender.vision.stills import frame_of
from edge_agender.vision.tracking.evidence import SHARED_VARIANCE, mean_of
from tests.support.visits import NOON_S, visit

BANDS = AgeBands(AudienceConfig().age_bands)
CELLS = [cell for cell in BANDS.cells if cell[0] != "unknown"]
# Shares of the age bands; women and men are alike.
AUDIENCES = {
    "uniform": (1, 1, 1, 1, 1, 1, 1, 1),
    "commuters": (2, 5, 13, 30, 24, 16, 7, 3),
    "a quarter 65+": (8, 5, 9, 13, 13, 13, 14, 25),
}
Cells = dict[tuple[str, str], float]
SIZES = (50, 200, 1000)
BORDER = 0.3


@dataclass(frozen=True)
class Known:
    """A face whose age and gender are known, and what was estimated of it."""

    cell: tuple[str, str]
    age: float
    estimate: Estimate


def strangers(data: Path) -> Iterator[tuple[str, float, str]]:
    """Yield path, age and gender of faces with exact ages that are held out by everybody: APPA-REAL's test, FG-NET."""
    for name in ("appareal", "fgnet"):
        with (data / f"{name}.csv").open() as lines:
            for row in csv.DictReader(lines):
                if row.get("split", "test") == "test" and row["gender"] in ("female", "male"):
                    yield row["path"], float(row["age"]), row["gender"]


def teachers(data: Path) -> dict[str, Detection]:
    """Return the box and landmarks that the coming detector's teacher gives each picture."""
    found = {}
    with (data / "teachers.csv").open() as lines:
        for row in csv.DictReader(lines):
            if row["face"] == "0" and row["right_eye_x"]:
                x, y, w, h = (float(row[name]) for name in "xywh")
                names = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
                points = tuple((float(row[f"{name}_x"]), float(row[f"{name}_y"])) for name in names)
                found[row["path"]] = Detection(Box(x, y, x + w, y + h), float(row["score"] or 0.9), points)
    return found


def estimates(data: Path, landmarks: dict[str, Detection] | None) -> list[Known]:
    """Estimate every stranger; a face that is not found is left out."""
    detector, estimator = configured_detector(DetectorConfig()), configured_estimator(EstimatorConfig())
    known = []
    pictures = {name: _unpacked(data / f"{name}.tar") for name in ("appareal", "fgnet")}
    for path, age, gender in strangers(data):
        raw = np.frombuffer(pictures[path.split("/")[0]][path], np.uint8)
        picture = np.asarray(cv2.imdecode(raw, cv2.IMREAD_COLOR), np.uint8)
        found = _find(picture, detector) if landmarks is None else (picture, landmarks.get(path))
        estimate = _estimate(*found, estimator)
        if estimate is not None:
            known.append(Known((gender, BANDS.of(age)), age, estimate))
    return known


def _unpacked(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member)) is not None}


def _find(picture: np.ndarray, detector: Detector) -> tuple[np.ndarray, Detection | None]:
    pad = round(BORDER * max(picture.shape[:2]))
    wide = np.asarray(cv2.copyMakeBorder(picture, *[pad] * 4, cv2.BORDER_CONSTANT, value=(127,) * 3), np.uint8)
    middle = wide.shape[1] / 2, wide.shape[0] / 2

    def off_middle(found: Detection) -> float:
        x, y = found.box.centre
        return abs(x - middle[0]) + abs(y - middle[1])

    return wide, min(detector.detect(frame_of(wide)), key=off_middle, default=None)


def _estimate(picture: np.ndarray, found: Detection | None, estimator: Estimator) -> Estimate | None:
    if found is None:
        return None
    crop = cut(picture, found.box, found.landmarks, estimator)
    return mean_of(estimator.estimate([crop])[0], estimator.estimate([mirrored(crop)])[0])


def draw(known: list[Known], shares: tuple[int, ...], size: int, chance: random.Random) -> list[Known]:
    """Return an audience of that many, its ages by the shares, women and men alike."""
    pool: dict[str, list[Known]] = {}
    for each in known:
        pool.setdefault(each.cell[1], []).append(each)
    bands = chance.choices(BANDS.labels[:-1], shares, k=size)
    return [chance.choice(pool[band]) for band in bands]


def hard(audience: list[Known]) -> Cells:
    """Return the cells as hard bands count them; a gender that is too uncertain is in none."""
    cells = dict.fromkeys(CELLS, 0.0)
    for each in audience:
        who = person(each.estimate, AudienceConfig().min_gender_confidence)
        cell = (who.gender, BANDS.of(who.years))
        if cell in cells:
            cells[cell] += 1
    return cells


def fractions(audience: list[Known]) -> Cells:
    """Return the cells by fractions, not rounded."""
    cells = dict.fromkeys(CELLS, 0.0)
    for each in audience:
        for cell, part in BANDS.fractions(each.estimate).items():
            cells[cell] += part
    return cells


def published(
    before: list[Known], audience: list[Known], min_cell: int, chance: random.Random
) -> dict[tuple[str, str], float]:
    """Return the cells of a period's message; another audience of the same kind came the period before."""
    book = Periods(3600, 2.0, BANDS, min_cell=min_cell, by_content=False, chance=chance.random)
    for hour, people in enumerate((before, audience)):
        for each in people:
            book.leave(visit(hour * 3600 + 60, estimate=each.estimate))
    period = book.due(NOON_S + 2 * 3600 + 2)[-1]
    return {(key.gender, key.age_band): float(viewers) for key, viewers, _ in period.cells if key.gender != "unknown"}


def missed(cells: Cells, truth: Cells, *, bands: bool) -> float:
    """Return half the sum of what shares differ by, in points of 100: 0 is right, 100 is all wrong."""
    keys = BANDS.labels[:-1] if bands else CELLS
    total, true_total = max(sum(cells.values()), 1e-9), sum(truth.values())

    def share(values: Cells, key: object, whole: float) -> float:
        return sum(value for cell, value in values.items() if key in (cell, cell[1])) / whole

    return 50 * sum(abs(share(cells, key, total) - share(truth, key, true_total)) for key in keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--landmarks", choices=("detector", "teachers"), default="detector")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--min-cell", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    known = estimates(options.data, teachers(options.data) if options.landmarks == "teachers" else None)
    sd = np.array([each.estimate.years_sd for each in known]) * math.sqrt(SHARED_VARIANCE)
    off = np.abs([each.estimate.years - each.age for each in known])
    inside = [100 * float(np.mean(off <= times * sd)) for times in (1, 2)]
    print(
        f"{len(known)} strangers: {off.mean():.1f} years off; of a long visit the deviation is {sd.mean():.1f} years,"
    )
    print(f"which holds {inside[0]:.0f} % of ages, twice it {inside[1]:.0f} %")
    report(known, options.draws, options.min_cell)


def report(known: list[Known], draws: int, min_cell: int) -> None:
    chance = random.Random(11)
    print(f"{'points of 100 missed, by cell / by age band':46}{'hard':>14}{'fractions':>14}{'published':>14}")
    pulls: list[tuple[float, float, float]] = []
    for size in SIZES:
        for name, shares in AUDIENCES.items():
            rows = []
            for _ in range(draws):
                audience = draw(known, shares, size, chance)
                truth = dict.fromkeys(CELLS, 0.0)
                for each in audience:
                    truth[each.cell] += 1
                table = published(draw(known, shares, size, chance), audience, min_cell, chance)
                counted = fractions(audience)
                pulls += [(table[cell], sum(table.values()), table[cell] - truth[cell]) for cell in CELLS]
                ways = (hard(audience), counted, table)
                rows.append([missed(way, truth, bands=bands) for way in ways for bands in (False, True)])
            mean = np.mean(rows, axis=0)
            words = "".join(f"{mean[at]:8.1f} /{mean[at + 1]:4.1f}" for at in (0, 2, 4))
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
    main()
