"""The command line's parser: each verb describes itself, and what is not understood is answered with what is meant."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from edge_agender.common.masking import scrubbed
from edge_agender.errors import UsageError

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction["Parser"]
else:
    Actions = argparse._SubParsersAction


class Parser(argparse.ArgumentParser):
    """Unknown flags are reported by the verb that was given them, with that verb's usage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("action", "parsers", _Verbs)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Return the options, and never a rest: what is not known is an error here."""
        options, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}{self._meant_flag(rest[0])}")
        return options, []

    def flags(self) -> list[str]:
        """Return the long flags."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def error(self, message: str) -> NoReturn:
        """What is not understood is repeated, but no address in it."""
        found = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        meant = _meant(found[1], re.findall(r"[\w-]+", found[2])) if found else ""
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"{self.prog}: error: {scrubbed(message)}{meant}\n")

    def _meant_flag(self, word: str) -> str:
        return _meant(word.partition("=")[0], self.flags()) if word.startswith("-") else ""


class _Verbs(Actions):
    """What the list of verbs says of one is also what its own --help begins with."""

    def add_parser(self, name: str, **kwargs: Any) -> Parser:
        if summary := kwargs.get("help"):
            kwargs.setdefault("description", f"{summary[0].upper()}{summary[1:]}.".replace("?.", "?"))
        return super().add_parser(name, **kwargs)


def _meant(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, 1, 0.6)
    return f": did you mean {close[0]}?" if close else ""
