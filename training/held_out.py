"""Write the labels of the pictures held back from training, for `edge-agender evaluate` and benchmarks.accuracy:

    python -m training.held_out --data DIR --out DIR

wider.json: the event classes that no detector was trained on. A CSV a collection: path, age, gender, group; of `wild`
and of adience the age is a group, of wild the ten years of the age as seen. Faces without age or gender are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path

from training.detector.split import held_out
from training.first_stages.labels import COLLECTIONS, Row, part_of

COLUMNS = ("path", "age", "gender", "group")


def people(data: Path, collection: str) -> Iterator[dict[str, str]]:
    """Yield the labelled people of a collection who are held out."""
    with (data / f"{collection}.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            age = age_of(collection, row)
            if part_of(collection, row) == "held_out" and age and row["gender"] in ("female", "male"):
                group = row.get("group") or row.get("direction") or "all"
                yield {"path": row["path"], "age": age, "gender": row["gender"], "group": group}


def age_of(collection: str, row: Row) -> str:
    """Return a face's age, or its group of ages; empty where nobody said."""
    if collection == "wild" and row["seen_years"]:
        decade = int(float(row["seen_years"]) // 10 * 10)
        return f"{decade}-{decade + 9}" if decade < 70 else "70+"
    return row.get("age") or row.get("age_group") or row.get("seen_years") or ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with wider.json and the collections' .csv")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scenes = [scene for scene in json.loads((args.data / "wider.json").read_text()) if held_out(scene["path"])]
    (args.out / "wider.json").write_text(json.dumps(scenes))
    print(f"wider: {len(scenes)} scenes")
    for name in COLLECTIONS:
        if not (args.data / f"{name}.csv").is_file():
            print(f"{name}: not there")
            continue
        rows = list(people(args.data, name))
        with (args.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        print(f"{name}: {len(rows)} people")


if __name__ == "__main__":
    main()
