"""Results as lines for a person, or as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from edge_agender.doctor.result import Result

_NAME_WIDTH = 13
_COLOURS = {"ok": "32", "warning": "33", "failure": "31;1", "skipped": "2"}


def wants_colour(stream: TextIO) -> bool:
    """Return whether to colour: on a terminal that can, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_text(result: Result, *, colour: bool = False) -> str:
    """Return a result's line, and its remedy on a second one."""
    word = f"{result.state:8}"
    if colour:
        word = f"\033[{_COLOURS[result.state]}m{word}\033[0m"
    line = f"{word} {result.check:{_NAME_WIDTH}} {result.finding}"
    return f"{line}\n{'':8} {'':{_NAME_WIDTH}} -> {result.remedy}" if result.remedy else line


def summary(results: Sequence[Result]) -> str:
    counts = {state: sum(result.state == state for result in results) for state in ("failure", "warning")}
    told = " and ".join(f"{count} {state}{'s' if count > 1 else ''}" for state, count in counts.items() if count)
    return f"{told}: mend them from the top, the first may be the reason for the others" if told else "all is well"


def as_json(results: Sequence[Result]) -> str:
    return json.dumps([asdict(result) for result in results], indent=1, ensure_ascii=False)
