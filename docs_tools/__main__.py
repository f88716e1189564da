"""Write what is generated anew, schemas and parts of the documentation: python -m docs_tools"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from docs_tools import lenses, options, remote, rooms, schemas
from edge_agender.common.output import run_script

DOCS = Path(__file__).parents[1] / "docs"
PARTS: dict[str, Callable[[], str]] = {
    "options": options.options_text,
    "remote": remote.remote_table,
    "faces": lenses.faces_table,
    "reach": lenses.reach_table,
    "heights": lenses.heights_table,
    "correction": lenses.correction_table,
}
BLOCK = re.compile(r"(<!-- made by python -m docs_tools: (\w+) -->\n)(.*?)(<!-- end -->)", re.S)


def fill(text: str) -> str:
    """Return the page with every generated part as the code has it now."""
    return BLOCK.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[4]}", text)


def main() -> None:
    pages = ((path, fill(path.read_text(encoding="utf-8"))) for path in sorted(DOCS.rglob("*.md")))
    for path, text in (*schemas.texts(), (rooms.SVG, rooms.drawing()), *pages):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path}: written")


if __name__ == "__main__":
    run_script(main)
