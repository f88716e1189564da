"""config.yaml is the reference that users edit: it holds every option, with the default that the code has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from edge_agender.config.load import load, read_file
from edge_agender.config.section import option_names
from edge_agender.config.settings import Config
from tests.support.paths import ROOT

REFERENCE = ROOT / "config.yaml"
# What depends on the machine stands in the file as a comment.
COMMENTED = {"device.name"}


def written(data: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from written(value, f"{path}{name}.")
        elif value is not None or path + name != "device":
            yield path + name


def test_every_option_is_in_the_file_and_no_other() -> None:
    assert set(written(read_file(REFERENCE))) == set(option_names(Config)) - COMMENTED


def test_the_defaults_are_the_codes_own() -> None:
    ours, theirs = load(REFERENCE), Config()
    assert ours.model_dump() == theirs.model_dump()


@pytest.mark.parametrize("option", sorted(COMMENTED))
def test_what_depends_on_the_machine_is_mentioned(option: str) -> None:
    assert f"# {option.rpartition('.')[2]}:" in REFERENCE.read_text()


def test_every_option_has_a_comment_above_it_or_its_group() -> None:
    lines = REFERENCE.read_text().splitlines()
    commented = sum(line.strip().startswith("#") for line in lines)
    assert commented > 0.5 * len(set(option_names(Config)))
