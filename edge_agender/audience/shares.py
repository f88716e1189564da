"""How far a published cell of the demographics may be from the truth.

A function of published numbers alone, so that it tells nothing that they do not.
"""

from __future__ import annotations

import math

# Measured by `python -m benchmarks.shares` on faces that no model was trained on, see docs/messages.md: how far a cell
# of n viewers among N misses the truth beside its rounding: variance a viewer, and deviation in parts of N.
PER_VIEWER = 0.75
OF_TOTAL = 0.017


def deviation(viewers: int, total: int, min_cell: int) -> float:
    """Return one standard deviation of a published cell of `viewers` among `total`."""
    # Rounding to a multiple of k by chance, with a remainder brought forward and one left: k² / 12 each.
    rounding = min_cell**2 / 6 if min_cell > 1 else 1 / 6
    estimate = PER_VIEWER * viewers + (OF_TOTAL * total) ** 2
    return math.sqrt(rounding + estimate)
