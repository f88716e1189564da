"""What a face should be said to be: labels and the teacher half and half; and how often it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.first_stages.faces import Faces, Floats

YOUNGEST_YEARS = 3  # below, a face hardly tells its gender
BANDS = np.array([0, 3, 6, 10, 13, 16, 20, 25, 30, 40, 50, 60, 70, 200])
# Faces seen in scenes and albums are drawn more often than portraits and tight crops, which are more.
SHARES = {
    "utkface": 0.6, "wild": 2.0, "adience": 1.4, "appareal": 1.6, "lag": 1.0, "lfw": 0.7, "aaf": 1.3, "congress": 0.5,
    "ukparliament": 0.9,
}  # fmt: skip
EVENNESS = 0.6  # 0: ages and genders as often as they come; 1: all equally
SEEN = ("wild", "lfw")  # whose ages are by eye; of those from 35 the teacher says three years more than the eye
KNOTS = np.array([0, 8, 13, 18, 23, 28, 33, 38, 45, 55, 65, 120])
FEWEST = 20


@dataclass(frozen=True)
class Targets:
    """Years (n,), probability of female (n,) and the gender's weight (n,) of every face; NaN where nothing is known."""

    years: Floats
    female: Floats
    weight: Floats


def targets(faces: Faces) -> Targets:
    """Mix what was labelled with what the teacher says out of fold; where one is missing, the other counts alone."""
    taught, labelled = recalibrated(faces), ~np.isnan(faces.years[:, 0])
    low, high = np.nan_to_num(faces.years).T
    # Of a group of ages, the year in it that the teacher says.
    told = np.where(labelled, np.where(np.isnan(taught), (low + high) / 2, np.clip(taught, low, high)), taught)
    both = labelled & ~np.isnan(taught)
    years = np.where(both, 0.5 * told + 0.5 * np.nan_to_num(taught), told)
    sexes = np.where(faces.gender == "female", 0.97, np.where(faces.gender == "male", 0.03, np.nan))
    p = faces.taught[:, 2]
    female = np.where(np.isnan(sexes), p, np.where(np.isnan(p), sexes, 0.5 * sexes + 0.5 * np.nan_to_num(p)))
    weight = np.where(years < YOUNGEST_YEARS, 0.5, 1.0) * np.where(np.isnan(sexes), 0.6, 1.0)
    return Targets(years.astype(np.float32), female.astype(np.float32), weight.astype(np.float32))


def recalibrated(faces: Faces) -> Floats:
    """Return the teacher's years (n,), moved on faces labelled by eye so that the median error is nought at every age
    that it says; fitted to the training part."""
    taught, (low, high) = faces.taught[:, 0].copy(), faces.years.T
    seen = np.isin(faces.collection, SEEN) & ~np.isnan(taught)
    fitted = seen & (low == high) & (faces.part == "training")
    places, moves = [], []
    for first, last in pairwise(KNOTS):
        among = fitted & (taught >= first) & (taught < last)
        if among.sum() >= FEWEST:
            places.append(float(np.median(taught[among])))
            moves.append(float(np.median(low[among] - taught[among])))
    if places:
        taught[seen] += np.interp(taught[seen], places, moves)
    return taught


def usable(faces: Faces, wanted: Targets, without: str | None = None) -> NDArray[np.intp]:
    """Return the places of the faces to train on: living ones of the training part of which something is known."""
    known = ~np.isnan(wanted.years) & ~np.isnan(wanted.female) & (faces.gender != "none")
    return np.flatnonzero(known & (faces.part == "training") & (faces.collection != (without or "")))


def shares(faces: Faces, wanted: Targets, places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how likely each of the faces at `places` is drawn: rare ages and genders more often than they come."""
    share = np.array([SHARES.get(name, 1.0) for name in faces.collection[places]])
    band = np.digitize(wanted.years[places], BANDS) - 1
    cell = band * 2 + (wanted.female[places] > 0.5)
    wide = np.repeat(np.diff(BANDS).clip(max=15), 2).astype(float)
    drawn = np.bincount(cell, share, minlength=len(wide))
    share = share * ((wide / np.maximum(drawn, 1e-9))[cell]) ** EVENNESS
    return share / share.sum()
