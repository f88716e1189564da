"""The last result of `make prove-no-images` on this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agender.common.files import opened
from edge_agender.errors import UsageError

RESULT_NAME = "no-images.json"
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ProofResult:
    """`rows`: name, whether it passed, and what was seen. Strings are empty where the file does not say."""

    passed: bool
    at: str
    software: str
    machine: str
    rows: tuple[tuple[str, bool, str], ...]


def find_proof(folders: list[Path]) -> ProofResult | None:
    """Return the result in the first folder that holds a readable one; None: it was not run here, or not kept."""
    for folder in folders:
        try:
            return read_proof(folder / RESULT_NAME)
        except UsageError:
            continue
    return None


def read_proof(path: Path) -> ProofResult:
    """Return the result in a file; raise UsageError where it holds none."""
    try:
        with opened(path) as file:
            data = json.loads(file.read(MAX_BYTES))
        return _result(data)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}: give the file that make prove-no-images wrote") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"{path}: not a result of make prove-no-images") from None


def _result(data: dict[str, Any]) -> ProofResult:
    rows = tuple((str(row["name"]), row["passed"] is True, str(row["detail"])) for row in data["rows"])
    # What says that it passed must not hold a line that did not, nor none at all.
    passed = data["passed"] is True and bool(rows) and all(row[1] for row in rows)
    return ProofResult(passed, str(data["at"]), str(data.get("software", "")), str(data.get("machine", "")), rows)
