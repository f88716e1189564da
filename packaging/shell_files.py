"""The manual page and the completions of bash, zsh and fish, made from the parser: python packaging/shell_files.py ROOT

Written below ROOT where Debian has them. Needs shtab (packaging/build.in).
"""

from __future__ import annotations

import argparse
import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import shtab

from edge_agender import __version__
from edge_agender.cli import VERBS, build_parser
from edge_agender.common.output import run_script

PROGRAM = "edge-agender"
COMPLETIONS = {
    "bash": f"usr/share/bash-completion/completions/{PROGRAM}",
    "zsh": f"usr/share/zsh/vendor-completions/_{PROGRAM}",
    "fish": f"usr/share/fish/vendor_completions.d/{PROGRAM}.fish",
}
MANUAL = f"usr/share/man/man1/{PROGRAM}.1.gz"
FILES_AND_CODES = (
    ".SH FILES",
    *(".TP", ".I /etc/edge\\-agender/config.yaml", "what the service is configured by"),
    *(".TP", ".I /var/lib/edge\\-agender", "messages that wait, sums of open windows, added models"),
    ".SH EXIT STATUS",
    "0 on success, 64 for a wrong command line, 65 unreadable media, 66 no camera, 69 no broker, 72 no model, 77 no",
    "permission or a wrong password, 78 an unusable configuration. A failure is one line that says what to do.",
    ".SH SEE ALSO",
    "/usr/share/doc/edge\\-agender",
)
# Options and arguments whose value is a file or a folder.
FILES = {"config", "ca", "password_file", "out", "truth", "json_file", "what", "files", "images", "folder", "proof"}


def parser() -> argparse.ArgumentParser:
    """Return the whole parser; the names of files are marked, so that shells complete them."""
    whole = build_parser(every=True)
    for each in (whole, *(_verbs(whole).choices[name] for name in VERBS)):
        for action in each._actions:
            if action.dest in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return whole


def _verbs(whole: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    return next(each for each in whole._actions if isinstance(each, argparse._SubParsersAction))


def manual(when: datetime) -> str:
    """Return the manual page in roff (man 7): what each verb does, and its flags."""
    whole = build_parser(every=True)
    about, _, steps = (whole.description or "").partition("\n\nfirst steps:\n")
    lines = [
        f'.TH EDGE\\-AGENDER 1 "{when:%Y-%m-%d}" "{PROGRAM} {__version__}" "User Commands"',
        ".SH NAME",
        f"{_roff(PROGRAM)} \\- audience demographics beside a digital sign, without a picture kept or sent",
        *(".SH SYNOPSIS", f".B {_roff(PROGRAM)}", "VERB [OPTION ...]"),
        *(".SH DESCRIPTION", _roff(" ".join(about.split()))),
        *(".SH FIRST STEPS", ".nf", _roff(steps.rstrip()), ".fi"),
        ".SH VERBS",
    ]
    for verb, parser in _verbs(whole).choices.items():
        lines += [f".SS {_roff(PROGRAM)} {_roff(verb)}", _roff(VERBS[verb])]
        lines += [line for action in parser._actions for line in _flag(parser, action)]
    return "\n".join([*lines, *FILES_AND_CODES]) + "\n"


def _flag(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    if action.dest == "help" or action.help is argparse.SUPPRESS:
        return []
    if isinstance(action, argparse._SubParsersAction):
        return [line for name, each in action.choices.items() for line in [".TP", f"\\fB{_roff(name)}\\fR",
                _roff(" ".join(each.format_usage().split()))]]  # fmt: skip
    words = parser._get_formatter()._expand_help(action) if action.help else ""
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    name = ", ".join(action.option_strings) or str(value)
    takes = f" \\fI{_roff(str(value))}\\fR" if action.option_strings and action.nargs != 0 else ""
    return [".TP", f"\\fB{_roff(name)}\\fR{takes}", _roff(words)]


def _roff(text: str) -> str:
    """Return text that roff shows as it stands."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in escaped.split("\n"))


def files(when: datetime) -> Iterator[tuple[str, bytes]]:
    """Yield every file's place and content; the same bytes for the same `when`."""
    yield MANUAL, gzip.compress(manual(when).encode(), 9, mtime=0)
    for shell, place in COMPLETIONS.items():
        yield place, shtab.complete(parser(), shell).encode()


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("root", type=Path, help="where to write")
    root = options.parse_args().root
    when = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    for place, content in files(when):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    run_script(main)
