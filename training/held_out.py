"""Write the labels of the pictures held back from training, for `edge-agender evaluate` and for comparison:

python -m training.held_out --data DIR --out DIR
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from training.common.split import held_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with wider.json, aaf.csv and utkface.csv")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scenes = [scene for scene in json.loads((args.data / "wider.json").read_text()) if held_out(scene["path"])]
    (args.out / "wider.json").write_text(json.dumps(scenes))
    print(f"wider: {len(scenes)} scenes")
    for name in ("aaf", "utkface"):
        with (args.data / f"{name}.csv").open() as lines:
            reader = csv.DictReader(lines)
            rows = [row for row in reader if held_out(row["path"])]
        with (args.out / f"{name}.csv").open("w", newline="") as lines:
            writer = csv.DictWriter(lines, reader.fieldnames or [])
            writer.writeheader()
            writer.writerows(rows)
        print(f"{name}: {len(rows)} people")


if __name__ == "__main__":
    main()
