"""Labelled pictures in either of two layouts:

* FairFace as published: folders `train/` and `val/` beside `fairface_label_train.csv` and `fairface_label_val.csv` with
  the columns file, age (0-2 ... more than 70), gender, race; the pictures with a margin of 0.25. `val/` is held out.
* Any folder with a CSV or several, of the columns path, age (years, or a group such as 30-39 or 70+), gender and, where
  known, group and person. A CSV without path, age and gender is passed over. What is held out is drawn by person where
  there is one, else by file name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.common.split import Part, part

FAIRFACE = {"train": "fairface_label_train.csv", "val": "fairface_label_val.csv"}
OLDEST_GROUP_YEARS = 10.0  # how wide "more than 70" is taken to be
GENDERS = {"female": True, "f": True, "male": False, "m": False}


@dataclass(frozen=True)
class Person:
    """One labelled picture: its path below the data folder, years, whether female, a group, and its part."""

    path: str
    years: float
    female: bool
    group: str
    part: Part

    @property
    def collection(self) -> str:
        return self.path.split("/")[0]


def read_people(data: Path) -> list[Person]:
    """Return the labelled pictures of a folder in the order of its files; raise SystemExit where there are none."""
    if (data / FAIRFACE["train"]).is_file():
        people = [person for name, file in FAIRFACE.items() for person in _fairface(data / file, name)]
    else:
        people = [person for path in sorted(data.glob("*.csv")) for person in _any(path)]
    if not people:
        raise SystemExit(
            f"{data}: no labelled pictures: put a CSV with the columns path, age and gender there, or FairFace's "
            f"{FAIRFACE['train']} beside its folders train/ and val/"
        )
    return people


def years_of(text: str) -> float:
    """Return the years that a label stands for: of a group the middle. Raises ValueError where it is none."""
    if text.endswith("+"):
        return float(text[:-1]) + OLDEST_GROUP_YEARS / 2
    low, dash, high = text.partition("-")
    return (float(low) + float(high) + 1) / 2 if dash else float(low)


def _fairface(path: Path, name: str) -> Iterator[Person]:
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        held = name == "val"
        chosen: Part = "held_out" if held else "calibration" if part(row["file"]) == "calibration" else "training"
        age = row["age"].replace("more than 70", "70+")
        yield Person(row["file"], _years(age, where), _female(row["gender"], where), row.get("race") or "all", chosen)


def _any(path: Path) -> Iterator[Person]:
    for number, row in _rows(path):
        if not {"path", "age", "gender"} <= row.keys():
            return
        if not row["age"] or row["gender"].lower() not in GENDERS:
            continue  # unknown: nothing to learn from
        where = f"{path}, line {number}"
        chosen = part(row.get("person") or row["path"])
        yield Person(
            row["path"], _years(row["age"], where), _female(row["gender"], where), row.get("group") or "all", chosen
        )


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        yield from enumerate(csv.DictReader(lines), start=2)


def _years(text: str, where: str) -> float:
    try:
        return years_of(text)
    except ValueError:
        raise SystemExit(f"{where}: an age is a number or a group such as 30-39 or 70+, not {text!r}") from None


def _female(text: str, where: str) -> bool:
    try:
        return GENDERS[text.strip().lower()]
    except KeyError:
        raise SystemExit(f"{where}: a gender is female or male, not {text!r}") from None
