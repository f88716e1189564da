"""What is shown on a terminal: strangers' text made harmless, widths in columns, colours where they are wanted."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from typing import TextIO

COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def clean(text: str, most: int = 200) -> str:
    """Return `text`, cut to `most`, without what steers a terminal: controls, escapes, bidi marks, ends of lines."""
    kept = "".join(" " if letter in "\t\n" else letter for letter in text[: 4 * most])
    return "".join(letter for letter in kept if not unicodedata.category(letter).startswith(("C", "Zl", "Zp")))[:most]


def width(text: str) -> int:
    """Return how many columns `text` takes: two for wide letters, none for combining marks."""
    return sum(_columns(letter) for letter in text)


def fit(text: str, columns: int) -> str:
    """Return `text` in exactly so many columns: filled with spaces, or cut with an ellipsis."""
    if width(text) > columns:
        kept, used = "", 0
        for letter in text:
            used += _columns(letter)
            if used > columns - 1:
                break
            kept += letter
        text = kept + "…" if columns > 0 else ""
    return text + " " * (columns - width(text))


def paint(text: str, colour: str, colours: bool) -> str:
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if colours and text else text


def is_terminal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether lines can be redrawn there."""
    return stream.isatty() and environment.get("TERM", "dumb") != "dumb"


def wants_colours(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Colours only on a terminal, and not where NO_COLOR is set (https://no-color.org)."""
    return is_terminal(stream, environment) and not environment.get("NO_COLOR")


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1
