"""One device in full, below the table: who is here now, and the last published table with its error bars."""

from __future__ import annotations

import textwrap

from edge_agender.commands.terminal import fit, paint
from edge_agender.commands.watch.fleet import GENDERS, Cells, DeviceState, LastPeriod

# Columns of one gender's cell, at most, and what its number takes beside the bar.
MOST_CELL, NUMBER = 26, 12
INDENT, LEAST_BROKEN = " " * len("last window  "), 40
COLOURS = {"female": "green", "male": "yellow", "unknown": "dim"}
LETTERS = {"female": "f", "male": "m"}


def who(cells: Cells) -> str:
    """Return such as "2f 25-34, 1m 65+"; empty for nobody."""
    found = sorted(((band_start(band), gender, band, count) for (gender, band), count in cells.items() if count))
    return ", ".join(_group(gender, band, count) for _, gender, band, count in found)


def _group(gender: str, band: str, count: int) -> str:
    """Return such as "2f 25-34", "1m age unknown", "1 unknown 25-34", "1 unknown"."""
    who = f"{count}{LETTERS[gender]}" if gender in LETTERS else f"{count} unknown"
    if band != "unknown":
        return f"{who} {band}"
    return f"{who} age unknown" if gender in LETTERS else who


def shares(cells: Cells) -> str:
    """Return how the viewers of a table are shared out, such as "62 % f, most 25-34"; empty where all is withheld."""
    total = sum(cells.values())
    if not total:
        return ""
    women = sum(count for (gender, _), count in cells.items() if gender == "female")
    bands: dict[str, int] = {}
    for (_, band), count in cells.items():
        bands[band] = bands.get(band, 0) + count
    return f"{100 * women / total:.0f} % f, most {max(bands, key=lambda band: bands[band])}"


def detail(device: DeviceState, columns: int, colours: bool) -> list[str]:
    """Return the lines below the table, each within the columns; none before anything of its audience was heard."""
    window, period = device.window, device.period
    if device.now is None and window is None and period is None:
        return []
    lines = ["", _now(device)]
    if window is not None:
        looked = "" if window.attention_s is None else f", they looked {window.attention_s:.1f} s on average"
        engaged = "" if window.engaged is None else f", {window.engaged} engaged"
        lines.append(f"last window  {window.viewers} viewers of {window.opportunities} who passed{looked}{engaged}")
    if period is None:
        lines.append("last table   none heard yet: gender and age come once a period (demographics.period_s)")
        return _fitted(lines, columns)
    rest = f"; {period.withheld} more in the next one" if period.withheld else ""
    lines.append(f"last table   from {period.start[11:16]}, {period.viewers} viewers, ± one standard deviation{rest}")
    return [*_fitted(lines, columns), "", *_cells(period, min((columns - 9) // 2, MOST_CELL), colours)]


def _fitted(lines: list[str], columns: int) -> list[str]:
    """Return the lines broken between words; cut, where hardly a word would fit."""
    if columns < LEAST_BROKEN:
        return [fit(line, columns).rstrip() for line in lines]
    return [part for line in lines for part in textwrap.wrap(line, columns, subsequent_indent=INDENT) or [""]]


def _cells(period: LastPeriod, wide: int, colours: bool) -> list[str]:
    most = max([1, *period.cells.values()])
    lines = [paint(fit("age", 9) + "".join(fit(gender, wide) for gender in GENDERS[:2]), "dim", colours)]
    for band in sorted({band for _, band in period.cells if band != "unknown"}, key=band_start):
        cells = "".join(_cell(period, (gender, band), wide, most, colours) for gender in GENDERS[:2])
        lines.append(fit(band, 9) + cells)
    unknown = sum(count for (gender, _), count in period.cells.items() if gender == "unknown")
    return [*lines, *([f"and {unknown} unknown"] if unknown else [])]


def band_start(band: str) -> int:
    """Return the least age of a band, so that bands can be sorted; what has none comes last."""
    digits = band.rstrip("+").partition("-")[0]
    return int(digits) if digits.isdigit() else 1000


def _now(device: DeviceState) -> str:
    if device.now is None:
        return "in view now  not released, or nothing is counted just now"
    return f"in view now  {device.now}" + (f": {who(device.now_cells)}" if device.now else "")


def _cell(period: LastPeriod, key: tuple[str, str], wide: int, most: int, colours: bool) -> str:
    count = period.cells.get(key, 0)
    bar = "█" * round(max(wide - NUMBER, 0) * count / most)
    text = f"{bar} {count} ± {period.sds.get(key, 0.0):.0f}".lstrip() if count else "·"
    return paint(fit(text, wide), COLOURS[key[0]], colours)
