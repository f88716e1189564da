"""Write the schemas again after a change of contract.py: `python -m edge_agender.schemas`, in a checkout."""

from __future__ import annotations

import json
from pathlib import Path

from edge_agender.schemas.build import json_schemas


def main() -> None:
    folder = Path(__file__).parent
    for kind, schema in json_schemas().items():
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{kind}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
