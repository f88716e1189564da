"""Strangers' text on a terminal, widths, colours."""

from __future__ import annotations

import io

import pytest

from edge_agender.commands.terminal import clean, fit, wants_colours, width


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("letter", ["\x1b", "\x07", "\x9b", "\r", "\x00", "\u202e", "\u200b", "\x7f", "\ud800"])
def test_nothing_that_steers_a_terminal_is_left(letter: str) -> None:
    assert clean(f"a{letter}b") == "ab"


def test_clean_makes_spaces_of_breaks_and_cuts() -> None:
    assert clean("one\ntwo\tthree") == "one two three"
    assert clean("x" * 1000, 10) == "x" * 10


@pytest.mark.parametrize("text", ["", "abc", "入口のカメラ", "e\u0301cole", "a" * 50, "入" * 50])
@pytest.mark.parametrize("columns", [0, 1, 2, 5, 12])
def test_fit_takes_exactly_its_columns(text: str, columns: int) -> None:
    assert width(fit(text, columns)) == columns


def test_colours_only_on_a_terminal_that_wants_them() -> None:
    assert wants_colours(Tty(), {"TERM": "xterm"})
    assert not wants_colours(Tty(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not wants_colours(Tty(), {"TERM": "dumb"})
    assert not wants_colours(io.StringIO(), {"TERM": "xterm"})
