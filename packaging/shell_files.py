"""The manual page and the completions of bash, zsh and fish, made from the parser: python packaging/shell_files.py ROOT

Written below ROOT where Debian has them. Needs shtab and argparse-manpage (packaging/build.in).
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from edge_agender import __version__
from edge_agender.cli import VERBS, build_parser

PROGRAM = "edge-agender"
COMPLETIONS = {
    "bash": f"usr/share/bash-completion/completions/{PROGRAM}",
    "zsh": f"usr/share/zsh/vendor-completions/_{PROGRAM}",
    "fish": f"usr/share/fish/vendor_completions.d/{PROGRAM}.fish",
}
MANUAL = f"usr/share/man/man1/{PROGRAM}.1.gz"
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
    """Return the manual page in roff."""
    whole = build_parser(every=True)
    data = {
        "project_name": PROGRAM,
        "version": __version__,
        "description": "audience demographics beside a digital sign, without a picture kept or sent",
        "manual_title": "User Commands",
        "date": when.strftime("%Y-%m-%d"),
    }
    text = str(Manpage(whole, format="pretty", _data=data))
    # The lines of the first steps stay lines.
    before, steps, rest = text.partition("first steps:\n")
    examples, _, after = rest.partition("\n\n")
    return f"{before}{steps}.nf\n{examples}\n.fi\n{after}"


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
    sys.exit(main())
