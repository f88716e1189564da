"""contract.py -> JSON Schemas."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from edge_agender.messages.contract import PAYLOADS

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of each kind of message, made from the types that the code is checked against."""
    return {kind: json_schema(kind, payload) for kind, payload in PAYLOADS.items()}


def json_schema(kind: str, payload: type) -> dict[str, Any]:
    made = TypeAdapter(payload).json_schema()
    version = get_args(get_type_hints(payload)["version"])[0]
    head = {
        "$schema": DRAFT,
        "$id": f"urn:edge-agender:schema:{kind}:{version}",
        "title": f"edge-agender {kind}, version {version}",
        "description": inspect.cleandoc(payload.__doc__ or ""),
    }
    return {**head, **{key: plain(value) for key, value in made.items() if key not in head}}


def plain(node: Any, names: bool = False) -> Any:
    """Leave out the titles that pydantic makes of field names: they repeat the keys. `names`: keys are field names."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if names or key != "title"}
        return {key: plain(value, key in ("properties", "$defs") and not names) for key, value in kept.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    return node
