"""What `make demo` shows of the messages: a live table on a terminal, one short line a change on a pipe, a summary."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from edge_agender.capture.sources.crowd import Crowd
from edge_agender.capture.sources.demo import load_sheet
from edge_agender.commands.terminal import fit, is_terminal, paint, wants_colours

BANDS = ("0-12", "13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")
LOWER_ENDS = (13, 18, 25, 35, 45, 55, 65)
GENDERS = ("female", "male")
MOST_LETTERS = 160
BAR = 12
# Who has come this far into the picture has walked by.
MOSTLY_VISIBLE = 0.8
HOME, CLEAR, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"

Cell = tuple[str, str]


class Heard:
    """What the messages said so far. One thread hears, another may read."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state = "starting"
        self.now: Counter[Cell] = Counter()
        self.people = 0
        self.published: Counter[Cell] = Counter()
        self.tables = self.in_tables = 0
        self.viewers = self.passed = self.looked = 0
        self.attention_s = 0.0
        self.first_frame_s: float | None = None
        self.last_frame_s = 0.0
        self.reader_left = False
        self._summary: object = None

    def hear(self, kind: str, payload: dict[str, Any], now_s: float) -> str | None:
        """Take a message in; return a short line where it says something new."""
        with self.lock:
            return getattr(self, f"_{kind}", lambda *_: None)(payload, now_s)

    def enough(self, seconds: float | None, now_s: float) -> bool:
        """Whether nobody reads any more, or `seconds` have passed since the first frame."""
        if seconds is None or self.first_frame_s is None:
            return self.reader_left
        return self.reader_left or now_s - self.first_frame_s >= seconds

    def _status(self, payload: dict[str, Any], _now_s: float) -> str:
        self.state = payload["state"]
        return f"status: {self.state}"

    def _frame(self, payload: dict[str, Any], now_s: float) -> str | None:
        self.first_frame_s = now_s if self.first_frame_s is None else self.first_frame_s
        self.last_frame_s = now_s
        audience = payload["audience"]
        self.people = audience["count"]
        self.now = Counter({(cell["gender"], cell["age_band"]): cell["count"] for cell in audience["cells"]})
        if self._summary == (self.people, self.now):
            return None
        self._summary = self.people, self.now
        return f"frame: {self.people} in view: {cells_text(self.now)}"

    def _window(self, payload: dict[str, Any], _now_s: float) -> str:
        attention = payload["attention"] or {"viewers": 0, "total_s": 0.0, "mean_s": None}
        self.viewers += payload["viewers"]
        self.passed += payload["opportunities_to_see"]
        self.looked += attention["viewers"]
        self.attention_s += attention["total_s"]
        return (
            f"window of {payload['length_s']} s: {payload['viewers']} viewers of {payload['opportunities_to_see']} "
            f"who passed, they looked {attention['mean_s'] or 0:.1f} s on average"
        )

    def _demographics(self, payload: dict[str, Any], _now_s: float) -> str:
        cells = Counter({(cell["gender"], cell["age_band"]): cell["viewers"] for cell in payload["cells"]})
        self.published += cells
        self.tables += 1
        self.in_tables += payload["viewers"]
        return f"demographics of {payload['viewers']} viewers in {payload['length_s']} s: {cells_text(cells)}"


def cells_text(cells: Counter[Cell]) -> str:
    """Return such as "2 female 25-34, 1 male 65+"."""
    found = [f"{count} {gender} {band}" for (gender, band), count in sorted(cells.items()) if count]
    return ", ".join(found) or "none"


class LiveTable:
    """Redraws the whole screen a few times a second; the last picture stays."""

    def __init__(self, stream: TextIO, heard: Heard, page: str) -> None:
        self._stream, self._heard, self._page = stream, heard, page
        self._colours = wants_colours(stream)
        self._ended = threading.Event()
        stream.write(CLEAR)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def line(self, _text: str) -> None:
        """Nothing: the table shows it."""

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._draw()
        self._stream.write("\n")

    def _run(self) -> None:
        while not self._ended.wait(0.25):
            self._draw()

    def _draw(self) -> None:
        with self._heard.lock:
            lines = table(self._heard, self._page, self._colours)
        self._stream.write(HOME + "\r\n".join(line + CLEAR_LINE for line in lines) + CLEAR_REST)
        self._stream.flush()


class Lines:
    """One short line a change, for a pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._began_s = stream, time.monotonic()

    def line(self, text: str) -> None:
        stamped = f"{time.monotonic() - self._began_s:6.1f} s  {text}"
        self._stream.write((stamped if len(stamped) <= MOST_LETTERS else stamped[: MOST_LETTERS - 1] + "…") + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is held."""


class Json:
    """Topic and payload as they came."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def message(self, topic: str, payload: dict[str, Any]) -> None:
        self._stream.write(f"{topic} {json.dumps(payload)}\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is held."""


def view_for(stream: TextIO, heard: Heard, page: str) -> LiveTable | Lines:
    return LiveTable(stream, heard, page) if is_terminal(stream) else Lines(stream)


def table(heard: Heard, page: str, colours: bool) -> list[str]:
    """Return the live table, 78 columns wide, 20 lines high."""
    most = max([1, *heard.published.values()])
    looks = f"{heard.attention_s / heard.looked:.1f} s" if heard.looked else "–"
    lines = [
        paint("edge-agender demo", "bold", colours) + f": {heard.state}. Synthetic people walk by; page {page}",
        "",
        paint(fit("", 9) + fit("in view now", 18) + "viewers published so far", "bold", colours),
        paint(fit("age", 9) + fit("female   male", 18) + fit("female", BAR + 6) + "male", "dim", colours),
    ]
    for band in BANDS:
        now = "".join(fit(str(heard.now[gender, band] or "·"), 9) for gender in GENDERS)
        bars = "".join(_bar(heard.published[gender, band], most, gender, colours) for gender in GENDERS)
        lines.append(fit(band, 9) + now + bars)
    unknown = sum(count for (gender, band), count in heard.now.items() if gender not in GENDERS or band not in BANDS)
    return [
        *lines,
        "",
        f"in view now {heard.people}" + (f" ({unknown} unknown)" if unknown else ""),
        f"since the start: {heard.passed} passed by, {heard.viewers} viewers, they looked {looks} on average",
        f"{heard.tables} tables of 20 s published, of {heard.in_tables} viewers. Each cell is a multiple of 5",
        "(privacy.min_cell): what is left over goes into the next table, so that sums become right.",
        "A real device publishes a table an hour. Ctrl-C ends and compares with who really walked by.",
    ]


def _bar(count: int, most: int, gender: str, colours: bool) -> str:
    bar = "█" * round(BAR * count / most)
    text = fit(f"{bar} {count}" if count else "·", BAR + 6)
    return paint(text, "green" if gender == "female" else "yellow", colours)


def truth(config: dict[str, int], seconds: float) -> Counter[Cell]:
    """Return who has walked by within `seconds`: the demo's people are a pure function of its seed and the time."""
    tiles = load_sheet()
    size = (config["width_px"], config["height_px"])
    crowd = Crowd([tile.facts for tile in tiles], config["people"], size, config["seed"])
    seen = {}
    for half in range(int(seconds * 2) + 1):
        for person in crowd.at(half / 2):
            if person.visible >= MOSTLY_VISIBLE:
                seen[person.person_id] = (person.gender, band_of(person.age_years))
    return Counter(seen.values())


def band_of(years: float) -> str:
    return BANDS[sum(years >= end for end in LOWER_ENDS)]


def still_held(folder: Path) -> Counter[Cell]:
    """Return the viewers whom the stopped daemon has counted and not published yet, from its saved sums.

    Fractions: a viewer of 24 ± 5 years is part of several age bands.
    """
    held: Counter[Cell] = Counter()
    try:
        saved = json.loads((folder / "windows.json").read_text())
    except (OSError, ValueError):
        return held
    periods = saved.get("audience", saved)["demographics"]
    sums = [tally["sums"] for *_, tally in (*periods["open"], *periods["ready"])]
    for _content, gender, band, part in [each for group in (periods["carried"], *sums) for each in group]:
        held[gender, band] += part
    return held


def summary(heard: Heard, shown: Counter[Cell], held: Counter[Cell]) -> list[str]:
    """Return who walked by, who was counted and what was published, by gender and age."""
    counted = Counter(heard.published)
    counted.update(held)
    columns = [(each, gender) for each in (shown, counted, heard.published) for gender in GENDERS]
    lines = [
        f"{'':9}{'walked by':>16}{'counted':>19}{'published':>19}",
        f"{'age':9}{'female':>8}{'male':>8}" + 2 * f"{'female':>11}{'male':>8}",
    ]
    for band in (*BANDS, "all"):
        values = [sum(each[gender, one] for one in (BANDS if band == "all" else (band,))) for each, gender in columns]
        walked, rest = values[:2], values[2:]
        cells = "".join(f"{value:8}" for value in walked)
        cells += "".join(f"{value:{width}.1f}" for value, width in zip(rest[:2], (11, 8), strict=True))
        lines.append(
            f"{band:9}{cells}" + "".join(f"{value:{width}}" for value, width in zip(rest[2:], (11, 8), strict=True))
        )
    unknown = counted.total() - sum(counted[gender, band] for gender in GENDERS for band in BANDS)
    return [
        *lines,
        f"{shown.total()} people walked by, {counted.total():.0f} were counted"
        + (f" ({unknown:.1f} of them of unknown gender)" if unknown >= 0.05 else "")
        + f", {heard.published.total()} of them are published.",
        "The rest is not lost: it waits for the end of its period, or for its cell to reach 5 (privacy.min_cell).",
    ]
