"""Every row of the pages on reliability and privacy names a command, and the command selects something."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from tests.support.paths import ROOT

PAGES = ("docs/reliability.md", "docs/privacy.md")


def rows(page: str) -> list[list[str]]:
    """The cells of each row of the tables that have a column for commands."""
    found: list[list[str]] = []
    table: list[list[str]] = []
    for line in [*(ROOT / page).read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if table and table[0][-1] in ("command", "shown by"):
            found += table[2:]
        table = []
    return found


def claims() -> list[tuple[str, str]]:
    """(what is claimed, one command of its row), with `...` written out as what it stands for."""
    listed, before = [], ""
    for page in PAGES:
        for row in rows(page):
            for code in re.findall(r"`([^`]+)`", row[-1]) or [""]:
                command = code.replace("...", before) if code.startswith("...") else code
                before = command.split(" -k ")[0]
                listed.append((row[0], command))
    return listed


def test_there_are_rows() -> None:
    assert len(claims()) > 40


@pytest.mark.parametrize(("claim", "command"), claims())
def test_the_row_s_command_selects_something(claim: str, command: str) -> None:
    words = [word for word in shlex.split(command) if "=" not in word]
    if words[:1] == ["make"]:
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), command
        return
    if words[:1] != ["pytest"]:
        assert words[:1] in (["dpkg"], ["grep"], ["python"]), f"{claim}: names no command: {command!r}"
        return
    paths, keyword = (words[1 : words.index("-k")], words[-1]) if "-k" in words else (words[1:], "test")
    files = [file for path in paths for file in ([ROOT / path] if path.endswith(".py") else (ROOT / path).glob("*.py"))]
    named = Expression.compile(keyword)
    assert any(selects(named, name) for file in files for name in names(file)), command
    assert keyword != "slow", f"{command}: selects every test that is marked slow"


def selects(named: Expression, name: str) -> bool:
    return named.evaluate(lambda word, **_: word.lower() in name)


def names(file: Path) -> list[str]:
    """What -k looks at in a file, in lower case: each test's name with its class's and the values that it is given."""
    text = file.read_text(encoding="utf-8")
    values = " ".join(re.findall(r"""["'](\w[^"'\n]{0,60})["']""", text))
    return [f"{name} {values}".lower() for name in re.findall(r"(?:def|class) ([Tt]est\w*)", text)]
