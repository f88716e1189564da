"""Write the schemas and docs/asyncapi.yaml again after a change of contract.py: `python -m edge_agender.schemas`.

In a checkout only: an installed package has no docs beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from edge_agender.schemas.asyncapi import document
from edge_agender.schemas.build import json_schemas

ASYNCAPI_HEAD = "# Made by `python -m edge_agender.schemas` from edge_agender/contract.py: change that, not this.\n"


def json_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def asyncapi_text() -> str:
    return ASYNCAPI_HEAD + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120)


def main() -> None:
    folder = Path(__file__).parent
    for kind, schema in json_schemas().items():
        (folder / f"{kind}.json").write_text(json_text(schema), encoding="utf-8")
    (folder.parents[1] / "docs" / "asyncapi.yaml").write_text(asyncapi_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
