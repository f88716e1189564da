"""The JSON Schemas (draft 2020-12) of every message, for subscribers; made by `python -m docs_tools`.

They are open: a later release of the same version may add fields, so a subscriber should ignore unknown ones.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def names() -> list[str]:
    """Return the kinds of messages that have a schema."""
    return sorted(file.name.removesuffix(".json") for file in files(__name__).iterdir() if file.name.endswith(".json"))


def load(name: str) -> dict[str, Any]:
    """Return the schema of one kind of message, such as "frame"; raises ValueError for an unknown one."""
    if name not in names():
        raise ValueError(f"no schema {name!r}: known are {', '.join(names())}")
    schema: dict[str, Any] = json.loads((files(__name__) / f"{name}.json").read_text(encoding="utf-8"))
    return schema
