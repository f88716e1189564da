"""Where log lines go and what they look like."""

from __future__ import annotations

import logging
import os
import sys

from edge_agender.common.masking import scrubbed


def configure_logging(level: str) -> None:
    """Log to stderr; under systemd without a time of our own, since the journal has one."""
    prefix = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        level=level.upper(), format=f"{prefix}%(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_ScrubbingFormatter(handler.formatter))


class _ScrubbingFormatter(logging.Formatter):
    """Shows of every address scheme and host alone, tracebacks and libraries' words included."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return scrubbed(self._inner.format(record))
