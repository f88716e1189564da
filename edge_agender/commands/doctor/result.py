"""One line of the doctor: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agender.errors import EdgeAgenderError

State = Literal["ok", "warning", "failure", "skipped"]


@dataclass(frozen=True, slots=True)
class Result:
    """`remedy` is one sentence; None where there is nothing to do."""

    check: str
    state: State
    finding: str
    remedy: str | None = None


def from_error(check: str, error: EdgeAgenderError, otherwise: str | None = None) -> Result:
    """Return the failure that an expected error stands for: its text ends with what to do, after the last colon.

    `otherwise` is the remedy of a text without a colon.
    """
    # The colon of an option that a remedy names is none of ours.
    *findings, remedy = re.split(r"(?<!mqtt\.protocol): ", " ".join(str(error).split()))
    finding = ": ".join(findings)
    if not finding:
        return Result(check, "failure", remedy, otherwise)
    return Result(check, "failure", finding, remedy[0].upper() + remedy[1:] + ".")


def unexpected(check: str, error: Exception) -> Result:
    """Return the failure that a bug of ours stands for: where it is, never its text, which may hold a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" in {Path(last[0].filename).name}, line {last[0].lineno}" if last else ""
    finding = f"the check itself failed: {type(error).__name__}{where}"
    return Result(
        check, "failure", finding, "Report this line and the version of edge-agender to whoever maintains it."
    )
