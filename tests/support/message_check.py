"""Is a payload what its schema says, and nothing that the schema does not name?"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from edge_agender.messages import schemas


def check(payload: bytes | str) -> dict[str, Any]:
    """Return the parsed payload; AssertionError where it breaks the schema that it names."""
    data: dict[str, Any] = json.loads(payload)
    kind = data["schema"].removeprefix("edge-agender.")
    errors = [f"{error.json_path}: {error.message}" for error in _closed(kind).iter_errors(data)]
    assert not errors, errors
    return data


@cache
def _closed(kind: str) -> Draft202012Validator:
    return Draft202012Validator(closed(schemas.load(kind)))


def closed(node: Any) -> Any:
    """A schema that allows no other fields than those it names: ours must not send any, theirs may not care."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: closed(value) for key, value in node.items()}
    # Where the schema says itself what others hold, as in a mapping by names, that stands.
    return {"additionalProperties": False, **inner} if node.get("type") == "object" else inner
