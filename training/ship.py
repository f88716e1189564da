"""Put a converted model where it ships from, and its size and SHA-256 into the manifest:

python -m training.ship face-ssd build/face-ssd.tflite
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"


def ship(name: str, file: Path) -> str:
    """Copy the file and return its SHA-256; raise ValueError where the manifest does not name it."""
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    manifest = MODELS / "manifest.yaml"
    entry = rf"(name: {re.escape(name)}\.tflite\n\s+size_bytes: )\S+(\n\s+sha256: )\S+"
    text, count = re.subn(entry, rf"\g<1>{len(data)}\g<2>{digest}", manifest.read_text())
    if count != 1:
        raise ValueError(f"{manifest} has no entry for {name}.tflite with size_bytes and sha256")
    (MODELS / f"{name}.tflite").write_bytes(data)
    manifest.write_text(text)
    return digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    print(ship(args.name, args.file))


if __name__ == "__main__":
    main()
