"""Compare two files of outputs.py; exit with 1 where they differ by more than the limits, or XNNPACK is not at work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

MOST_STEPS = 1
# Of the same face on two machines. An estimator is 3.6 years and more from the truth: a year and a half of rounding
# adds a tenth to that, if it does not lean to one side. Measured: 0.9 years at most, 0.4 to one side, 0.02.
MOST_YEARS, MOST_BIAS_YEARS, MOST_P_FEMALE = 1.5, 0.8, 0.04


def same_integers(name: str, here: dict[str, Any], there: dict[str, Any]) -> bool:
    """Say by how many steps a detector's outputs differ; True where that is within the limit."""
    steps = np.concatenate([np.abs(np.subtract(here[output], there[output])).ravel() for output in here])
    sys.stdout.write(
        f"{name}: {steps.size} numbers, {np.count_nonzero(steps)} differ, by {steps.max()} steps at most\n"
    )
    return bool(steps.max() <= MOST_STEPS)


def same_estimates(name: str, here: list[list[float]], there: list[list[float]]) -> bool:
    """Say by how much an estimator's estimates of the same faces differ; True where that is within the limits."""
    difference = np.subtract(there, here)
    years, p_female = np.abs(difference).mean(axis=0)
    bias = difference[:, 0].mean()
    sys.stdout.write(
        f"{name}: {len(here)} faces, {years:.2f} years apart in the mean ({bias:+.2f}), p_female {p_female:.3f}\n"
    )
    return bool(years <= MOST_YEARS and abs(bias) <= MOST_BIAS_YEARS and p_female <= MOST_P_FEMALE)


def main() -> int:
    here, there = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    passed = [same_integers(name, mine, there["detectors"][name]) for name, mine in here["detectors"].items()]
    passed += [same_estimates(name, mine, there["estimators"][name]) for name, mine in here["estimators"].items()]
    for side, told in (("here", here), ("there", there)):
        without = [name for name, operators in told["operators"].items() if "DELEGATE" not in operators]
        sys.stdout.write(f"XNNPACK {side}: {'not at work in ' + ', '.join(without) if without else 'at work in all'}\n")
        passed.append(not without)
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
