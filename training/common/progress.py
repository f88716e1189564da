"""What a training shows of itself: one line while it runs, its curves afterwards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def show(used_s: float, minutes: float, step: int, words: str) -> None:
    """Print how much of the minutes is used; on a terminal, over the line before."""
    done = min(used_s / (60 * minutes), 1.0)
    bar = "#" * int(30 * done) + "." * (30 - int(30 * done))
    end = "\r" if sys.stdout.isatty() else "\n"
    print(f"[{bar}] {used_s / 60:6.1f} min  step {step}  {words}", end=end, flush=True)


def show_count(done: int, total: int, words: str, every: int = 500) -> None:
    """Print how many are done, now and then; on a terminal, over the line before."""
    if done % every == 0 or done == total:
        end = "\r" if sys.stdout.isatty() and done < total else "\n"
        print(f"{done} of {total}, {words}", end=end, flush=True)


def plot(history: list[dict[str, Any]], panels: Sequence[Sequence[str]], path: Path) -> None:
    """Draw the figures of each panel over the minutes, side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.5 * len(panels), 4), squeeze=False)
    for axis, names in zip(axes[0], panels, strict=True):
        for name in names:
            rows = [row for row in history if name in row]
            axis.plot([row["minutes"] for row in rows], [row[name] for row in rows], label=name)
        axis.set_xlabel("minutes")
        axis.legend()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
