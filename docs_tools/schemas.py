"""Where the messages' JSON Schemas and the AsyncAPI document lie, and their texts as the contract has them now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from docs_tools.asyncapi import document
from docs_tools.json_schemas import json_schemas

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "edge_agender" / "messages" / "schemas"
ASYNCAPI = ROOT / "docs" / "asyncapi.yaml"
ASYNCAPI_HEAD = "# Made by `python -m docs_tools` from edge_agender/messages/contract.py: change that, not this.\n"


def json_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def asyncapi_text() -> str:
    return ASYNCAPI_HEAD + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120)


def texts() -> Iterator[tuple[Path, str]]:
    """Yield each file that is made from the contract, with what belongs into it."""
    for kind, schema in json_schemas().items():
        yield SCHEMAS / f"{kind}.json", json_text(schema)
    yield ASYNCAPI, asyncapi_text()
