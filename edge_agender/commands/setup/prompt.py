"""Talking with the person at the terminal."""

from __future__ import annotations

import getpass
import sys
from typing import TextIO

from edge_agender.commands.terminal import is_terminal, paint, wants_colours


class Prompt:
    """Says and asks. EOFError and KeyboardInterrupt of an answer are the caller's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.colours = wants_colours(stream)
        self._redraws = is_terminal(stream)

    @property
    def can_ask(self) -> bool:
        return sys.stdin.isatty()

    def say(self, text: str = "", colour: str | None = None) -> None:
        self._stream.write((paint(text, colour, self.colours) if colour else text) + "\n")
        self._stream.flush()

    def ask(self, question: str, hint: str, default: str, secret: bool = False) -> str:
        """Return what is typed, "" for Enter alone; what is secret is not shown."""
        prompt = f"  [{default}]: " if default else "  : "
        while True:
            self.say()
            self.say(question, "bold")
            self.say(f"  {hint}", "dim")
            try:
                return getpass.getpass(prompt, self._stream) if secret else input(prompt).strip()
            except UnicodeDecodeError:
                self.refuse("this is not UTF-8: type it again, on a terminal that speaks UTF-8")

    def agree(self, question: str, default: bool) -> bool:
        while True:
            answer = self.ask(question, "y or n", "Y/n" if default else "y/N").lower()
            if answer in ("", "y", "yes", "n", "no"):
                return default if not answer else answer.startswith("y")

    def refuse(self, reason: str) -> None:
        for line in reason.splitlines():
            self.say(f"  {line}", "red")

    def progress(self, what: str, seconds: float) -> None:
        """Show on a terminal, in place, how long it takes already."""
        if self._redraws:
            self._stream.write(f"\r\x1b[K{what} ... {seconds:.0f} s")
            self._stream.flush()

    def progress_ends(self) -> None:
        if self._redraws:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
