"""Where log lines go and what they look like."""

from __future__ import annotations

import logging
import os
import sys


def configure_logging(level: str) -> None:
    """Log to stderr; under systemd without a time of our own, since the journal has one."""
    prefix = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        level=level.upper(), format=f"{prefix}%(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True
    )
