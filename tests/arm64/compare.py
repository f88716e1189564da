"""Compare two files of outputs.py: no number may differ by more than one step, and XNNPACK must be at work in both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MOST_STEPS = 1


def main() -> int:
    here, there = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    failed = False
    for name, mine in here.items():
        theirs = there[name]
        steps = [
            abs(a - b)
            for output, runs in mine["outputs"].items()
            for run, other in zip(runs, theirs["outputs"][output], strict=True)
            for a, b in zip(run, other, strict=True)
        ]
        delegated = "DELEGATE" in mine["operators"] and "DELEGATE" in theirs["operators"]
        differing = sum(step > 0 for step in steps)
        text = f"{len(steps)} numbers, {differing} differ, by {max(steps)} steps at most; XNNPACK {delegated}"
        sys.stdout.write(f"{name}: {text}\n")
        failed |= max(steps) > MOST_STEPS or not delegated
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
