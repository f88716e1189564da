"""A misspelt word on the command line is answered with what is meant, by the verb that it was meant for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from edge_agender.cli import build_parser, main


def refused(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 64
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "usage", "meant"),
    [
        ("chek", "usage: edge-agender [-h]", "did you mean check?"),
        ("run --sorce demo", "usage: edge-agender run", "did you mean --source?"),
        ("check --brokr=yes", "usage: edge-agender check", "did you mean --broker?"),
        ("models lst", "usage: edge-agender models", "did you mean list?"),
        ("fleet devices --jsn", "usage: edge-agender fleet devices", "did you mean --json?"),
        ("run --sink mqt", "usage: edge-agender run", "did you mean mqtt?"),
        ("--sorce demo run", "usage: edge-agender [-h]", "flags follow the verb: edge-agender run --sorce ..."),
    ],
)
def test_a_misspelt_word_is_answered_by_its_verb(
    words: str, usage: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(words, capsys)
    assert error.startswith(usage)
    assert error.endswith(meant + "\n")


def test_what_resembles_nothing_is_no_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean" not in refused("run --xyzzy", capsys)


def test_an_address_in_a_misspelt_flag_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Secret99" not in refused("run --sorce rtsp://admin:Secret99@camera/1", capsys)


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from parsers(each)


def test_every_help_begins_with_what_the_verb_does() -> None:
    found = list(parsers(build_parser(every=True)))
    assert len(found) > 20
    assert not [each.prog for each in found if not each.description]
