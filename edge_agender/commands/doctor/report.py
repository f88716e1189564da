"""Results as lines for a person, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from edge_agender.commands.doctor.result import Result
from edge_agender.commands.terminal import clean, paint

_NAME_WIDTH, _MOST = 13, 2000
_COLOURS = {"ok": "green", "warning": "yellow", "failure": "red", "skipped": "dim"}


def as_text(result: Result, *, colour: bool = False) -> str:
    """Return a result's line, and its remedy on a second one."""
    word = paint(f"{result.state:8}", _COLOURS[result.state], colour)
    # What a broker, a status page or a board calls itself is a stranger's text.
    line = f"{word} {result.check:{_NAME_WIDTH}} {clean(result.finding, _MOST)}"
    return f"{line}\n{'':8} {'':{_NAME_WIDTH}} -> {clean(result.remedy, _MOST)}" if result.remedy else line


def summary(results: Sequence[Result]) -> str:
    counts = {state: sum(result.state == state for result in results) for state in ("failure", "warning")}
    told = " and ".join(f"{count} {state}{'s' if count > 1 else ''}" for state, count in counts.items() if count)
    return f"{told}: fix the first one first, it may be the cause of the others" if told else "all is well"


def as_json(results: Sequence[Result]) -> str:
    return json.dumps([asdict(result) for result in results], indent=1)
