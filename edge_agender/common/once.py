"""What is said once: a trouble that lasts is a warning when it begins, and then no more than a line for debugging."""

from __future__ import annotations

import logging


class Once:
    """Remembers what was said. Not for several threads at once."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: set[str] = set()

    def __bool__(self) -> bool:
        """Whether anything was said since the last clear()."""
        return bool(self._said)

    def warn(self, text: str, about: str | None = None) -> None:
        """Log the text, as a warning only for the first time; `about` stands for it where its words vary."""
        self._log.log(logging.WARNING if self.first(about or text) else logging.DEBUG, "%s", text)

    def first(self, about: str) -> bool:
        """Return whether this is said for the first time, and remember that it was."""
        if about in self._said:
            return False
        self._said.add(about)
        return True

    def clear(self, about: str | None = None) -> None:
        """It is over: the next time is news again. Everything, where nothing is named."""
        if about is None:
            self._said.clear()
        else:
            self._said.discard(about)
