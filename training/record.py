"""Write size and SHA-256 of the models that ship into their manifest, after a conversion: `python -m training.record`.

Only these two lines of each file's entry change, so that the manifest keeps its comments and its order.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from edge_agender.inference.catalogue import MANIFEST, load_manifest

MODELS = Path(__file__).resolve().parent.parent / "models"
ENTRY = r"(name: {name}\n(?P<indent> +)size_bytes: )\d+(\n +sha256: )[0-9a-f]{{64}}"


def recorded(text: str, name: str, data: bytes) -> str:
    """Return the manifest's text with the file's size and hash; raise ValueError where it has no such entry."""
    digest = hashlib.sha256(data).hexdigest()
    pattern = ENTRY.format(name=re.escape(name))
    changed, count = re.subn(pattern, lambda found: f"{found[1]}{len(data)}{found[3]}{digest}", text)
    if count != 1:
        raise ValueError(
            f"{name}: expected one entry with name, size_bytes and sha256 below one another, found {count}"
        )
    return changed


def main() -> None:
    manifest = MODELS / MANIFEST
    text = manifest.read_text(encoding="utf-8")
    specs = load_manifest(manifest).values()
    for name in sorted({file.name for spec in specs for network in spec.networks for file in network.files}):
        text = recorded(text, name, (MODELS / name).read_bytes())
        sys.stdout.write(f"{name}: recorded in {manifest}\n")
    manifest.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
