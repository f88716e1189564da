"""What is known of every face of the collections, and which part it belongs to.

Whole persons, albums and scenes are held out, so that the test asks for strangers: FG-NET and APPA-REAL's own test part
as they are, half of LFW's persons, a fifth of the scenes of WIDER and of Adience's albums (a tenth more calibrates),
a tenth of LAG's persons and of the portraits; All-Age-Faces and UTKFace as training.common.split says.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.common.split import part as part_by_name

COLLECTIONS = ("aaf", "adience", "appareal", "congress", "fgnet", "lag", "lfw", "ukparliament", "utkface", "wild")
POINTS = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
Part = Literal["training", "calibration", "held_out"]
Row = Mapping[str, str]


@dataclass(frozen=True)
class Labelled:
    """A face: box (x, y, w, h) and landmarks in pixels of its picture, None where they are not known.

    `years`: the first and the last age that the label allows. `gender`: female, male, unknown, none or empty.
    `taught`: years, their deviation and the probability of female, by a network that saw neither face nor person.
    """

    path: str
    collection: str
    part: Part
    gender: str
    years: tuple[float, float] | None
    group: str
    box: tuple[float, float, float, float] | None
    landmarks: tuple[tuple[float, float], ...] | None
    taught: tuple[float, float, float] | None


def read(data: Path) -> Iterator[Labelled]:
    """Yield the faces of DIR/<collection>.csv, the second looks in place of the labels that they contradict."""
    taught = {(row["path"], row["face"]): row for row in _rows(data / "teachers.csv")}
    second = {row["path"]: row for row in _rows(data / "second_look.csv")}
    for collection in COLLECTIONS:
        for row in _rows(data / f"{collection}.csv"):
            part = part_of(collection, row)
            gender, years = row["gender"], years_of(collection, row)
            if part == "training" and row["path"] in second:
                again = second[row["path"]]
                gender = again["gender"] or gender
                years = (float(again["seen_years"]),) * 2 if again["seen_years"] else years
            teacher = taught.get((row["scene"], row["face"]) if collection == "wild" else (row["path"], "0"))
            place = row if collection == "wild" else teacher
            yield Labelled(
                row["path"],
                collection,
                part,
                gender,
                years,
                row.get("group") or row.get("direction") or "",
                _numbers(place, "x", "y", "w", "h") if place else None,  # type: ignore[arg-type]
                _points(place) if place else None,
                _numbers(teacher, "edge_years", "edge_sd", "edge_p_female") if teacher else None,  # type: ignore[arg-type]
            )


def part_of(collection: str, row: Row) -> Part:
    """Return the part of a face, decided by what it shares with others: person, album or scene."""
    if collection in ("aaf", "utkface"):
        return part_by_name(row["path"])
    if collection == "fgnet" or row.get("split") == "test":
        return "held_out"
    if collection == "appareal":
        return "training"
    if collection == "lfw":
        return "held_out" if _number(row["path"].split("/")[1].rsplit("_", 1)[0]) % 2 == 0 else "training"
    keys = {"wild": row.get("scene"), "adience": f"album{row.get('album')}", "lag": row.get("person")}
    tenth = _number(keys.get(collection) or row["path"]) % 10
    if collection in ("wild", "adience"):
        return "held_out" if tenth < 2 else "calibration" if tenth == 2 else "training"
    return "held_out" if tenth == 0 else "training"


def years_of(collection: str, row: Row) -> tuple[float, float] | None:
    """Return the ages that a label allows: exact ones, groups, or as seen; None where nobody said."""
    if collection == "adience":
        low, high = row["age_group"].split("-")
        return float(low), float(high) + 1
    text = row.get("age") or row.get("seen_years")
    return (float(text), float(text)) if text else None


def _rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _number(key: str) -> int:
    return zlib.crc32(key.encode())


def _numbers(row: Row, *names: str) -> tuple[float, ...] | None:
    return tuple(float(row[name]) for name in names) if row[names[0]] else None


def _points(row: Row) -> tuple[tuple[float, float], ...] | None:
    if not row["nose_x"]:
        return None
    return tuple((float(row[f"{name}_x"]), float(row[f"{name}_y"])) for name in POINTS)
