"""Visits that somebody counted by hand, beside those that were found."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edge_agender.audience.measures import Visit
from edge_agender.commands.report.collect import Recording
from edge_agender.errors import UsageError
from edge_agender.vision.tracking.assignment import assign

COLUMNS = ("entered", "left", "gender", "age", "looked")
GENDERS = {"f": "female", "female": "female", "w": "female", "m": "male", "male": "male", "": None}
LOOKED = {
    "yes": True,
    "y": True,
    "1": True,
    "true": True,
    "no": False,
    "n": False,
    "0": False,
    "false": False,
    "": None,
}
# A pair must share at least this part of the time that either lasts.
LEAST_OVERLAP = 0.1


class TrueVisit(NamedTuple):
    """One row. What was left empty is None; `years` is (least, most)."""

    file: str
    entered_s: float
    left_s: float
    gender: str | None
    years: tuple[float, float] | None
    looked: bool | None


class Pair(NamedTuple):
    true: TrueVisit
    found: Visit


@dataclass(frozen=True, slots=True)
class Comparison:
    """`missed`: counted by hand alone. `extra`: found alone. `again`: found in pieces, all but the best piece."""

    pairs: tuple[Pair, ...]
    missed: tuple[TrueVisit, ...]
    extra: tuple[tuple[str, Visit], ...]
    again: tuple[tuple[str, Visit], ...]

    @property
    def true_count(self) -> int:
        return len(self.pairs) + len(self.missed)

    def genders(self) -> tuple[int, int, int]:
        """Return (right, wrong, said to be unknown) of those whose gender was noted."""
        known = [pair for pair in self.pairs if pair.true.gender is not None]
        right = sum(pair.found.person.gender == pair.true.gender for pair in known)
        unknown = sum(pair.found.person.gender == "unknown" for pair in known)
        return right, len(known) - right - unknown, unknown

    def age_errors(self) -> list[float]:
        """Return years off, 0 inside the noted range."""
        errors = []
        for true, found in self.pairs:
            if true.years is not None and found.person.years is not None:
                least, most = true.years
                years = found.person.years
                errors.append(max(least - years, years - most, 0.0) * (1 if years > most else -1))
        return errors

    def looks(self) -> tuple[int, int]:
        """Return (right, of those noted): looked, as a viewer with any attention."""
        known = [pair for pair in self.pairs if pair.true.looked is not None and pair.found.attention_s is not None]
        return sum(bool(pair.found.attention_s) == pair.true.looked for pair in known), len(known)

    def sentences(self) -> list[str]:
        """Return what went right and wrong, one line each."""
        found = len(self.pairs) + len(self.extra) + len(self.again)
        right, wrong, unknown = self.genders()
        errors, (looks_right, looks) = self.age_errors(), self.looks()
        lines = [
            f"counted by hand {self.true_count}, found {found}: {len(self.pairs)} the same, {len(self.missed)} missed, "
            f"{len(self.extra)} that were nobody, {len(self.again)} counted again"
        ]
        if right + wrong + unknown:
            lines.append(f"gender: {right} right, {wrong} wrong, {unknown} unknown")
        if errors:
            bias = statistics.fmean(errors)
            side = "too old" if bias >= 0 else "too young"
            off = statistics.fmean(map(abs, errors))
            lines.append(f"age: {off:.1f} years off on average, {abs(bias):.1f} {side} all in all")
        if looks:
            lines.append(f"looked: {looks_right} of {looks} right")
        return lines

    def as_dict(self) -> dict[str, Any]:
        right, wrong, unknown = self.genders()
        errors, (looks_right, looks) = self.age_errors(), self.looks()
        return {
            "counted": self.true_count,
            "matched": len(self.pairs),
            "missed": len(self.missed),
            "extra": len(self.extra),
            "again": len(self.again),
            "gender": {"right": right, "wrong": wrong, "unknown": unknown},
            "age_error_years": round(statistics.fmean(map(abs, errors)), 1) if errors else None,
            "looked": {"right": looks_right, "of": looks},
        }


def read_truth(path: Path, names: Sequence[str]) -> list[TrueVisit]:
    """Return the rows of a CSV file; raise UsageError naming the line where one cannot be used.

    Columns: entered, left (seconds or mm:ss of the recording), gender, age (34 or 25-34), looked (yes, no); `file`
    where there are several recordings. All but the first two may be empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS[:2] if name not in (reader.fieldnames or [])]
            if missing:
                raise UsageError(f"{path}: no column {missing[0]}: the first line must be {','.join(COLUMNS)}")
            return [_row(row, f"{path}:{reader.line_num}", names) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a CSV file"
        raise UsageError(f"{path}: {reason}: give a file with the columns {','.join(COLUMNS)}") from None


def compare(recordings: Sequence[Recording], truth: Sequence[TrueVisit]) -> Comparison:
    """Pair what was found with what was counted, by the time that both share."""
    pairs: list[Pair] = []
    missed: list[TrueVisit] = []
    extra: list[tuple[str, Visit]] = []
    again: list[tuple[str, Visit]] = []
    for recording in recordings:
        here, found = [row for row in truth if row.file == recording.name], recording.viewers
        matched = assign([[1 - _overlap(row, visit) for visit in found] for row in here], 1 - LEAST_OVERLAP)
        rows, columns = {row for row, _ in matched}, {column for _, column in matched}
        pairs += [Pair(here[row], found[column]) for row, column in matched]
        missed += [row for number, row in enumerate(here) if number not in rows]
        for number, visit in enumerate(found):
            if number not in columns:
                inside = any(_inside(visit, row) for row in here)
                (again if inside else extra).append((recording.name, visit))
    return Comparison(tuple(pairs), tuple(missed), tuple(extra), tuple(again))


def _overlap(row: TrueVisit, visit: Visit) -> float:
    shared = min(row.left_s, visit.last_utc_s) - max(row.entered_s, visit.first_utc_s)
    whole = max(row.left_s, visit.last_utc_s) - min(row.entered_s, visit.first_utc_s)
    overlap = max(shared, 0.0) / max(whole, 1e-3)
    # Of two that came together the one of the noted gender is the better match.
    return overlap * (0.9 if row.gender not in (None, visit.person.gender) else 1.0)


def _inside(visit: Visit, row: TrueVisit) -> bool:
    middle = (visit.first_utc_s + visit.last_utc_s) / 2
    return row.entered_s <= middle <= row.left_s


def _row(row: Mapping[str, str | None], where: str, names: Sequence[str]) -> TrueVisit:
    text = {key: (value or "").strip().lower() for key, value in row.items() if isinstance(key, str)}
    name = (row.get("file") or "").strip() or (names[0] if len(names) == 1 else "")
    if name not in names:
        raise UsageError(f"{where}: column file must name one of {', '.join(names)}")
    entered_s, left_s = (_seconds(text[column], f"{where}: {column}") for column in COLUMNS[:2])
    if left_s < entered_s:
        raise UsageError(f"{where}: left before entered: give both in seconds or mm:ss of the recording")
    if text.get("gender", "") not in GENDERS or text.get("looked", "") not in LOOKED:
        raise UsageError(f"{where}: gender is f or m, looked is yes or no; either may be empty")
    return TrueVisit(
        name,
        entered_s,
        left_s,
        GENDERS[text.get("gender", "")],
        _years(text.get("age", ""), where),
        LOOKED[text.get("looked", "")],
    )


def _seconds(text: str, where: str) -> float:
    try:
        minutes, _, rest = text.rpartition(":")
        return 60 * float(minutes or 0) + float(rest)
    except ValueError:
        raise UsageError(f"{where}: {text[:20]!r} is no time: give seconds, or mm:ss") from None


def _years(text: str, where: str) -> tuple[float, float] | None:
    """34 -> (34, 34), 25-34 -> (25, 34.99), 65+ -> (65, 120)."""
    if not text:
        return None
    try:
        if text.endswith("+"):
            return float(text[:-1]), 120.0
        least, dash, most = text.partition("-")
        return float(least), float(most) + 0.99 if dash else float(least)
    except ValueError:
        raise UsageError(f"{where}: {text[:20]!r} is no age: give 34, 25-34 or 65+") from None
