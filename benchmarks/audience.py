"""The audience's tables from one run: shares on strangers, the deviation of a visit, and one person as one viewer.

    python -m benchmarks.audience ../shared/data ../shared/videos [--seeds 2] [--draws 20] [--every 3]

Each part alone: `python -m benchmarks.shares`, `benchmarks.spread`, `benchmarks.tracking` (beside other trackers).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2

from benchmarks import shares, spread, tracking
from benchmarks.strangers import estimated
from edge_agender.audience.demography import AgeBands
from edge_agender.common.output import run_script
from edge_agender.config.audience import AudienceConfig
from tests.support.simulator import Scene

# Of the same audiences, in bands that are wide enough for small periods.
WIDE = (18, 35, 55)


def demographics(data: Path, draws: int) -> None:
    known, min_cell = estimated(data), 5
    shares.single(known)
    for ends in (AudienceConfig().age_bands, WIDE):
        print(f"\nage bands from {', '.join(map(str, ends))} on, min_cell {min_cell}")
        shares.report(shares.Table(known, AgeBands(ends)), draws, min_cell)


def scene(name: str, made: Scene, seeds: Sequence[int]) -> str:
    """Return a row: switches of identity, viewers, dwell, opportunities to see and mean count against the truth."""
    row, counts = tracking.compare(made, seeds, ["ours"])["ours"], tracking.show_counted(made, seeds)
    viewers = f"viewers {row['count_error_percent']:+6.1f} %, dwell {row['dwell_error_s']:5.2f} s off"
    return f"{name:45}{row['switches_per_100']:6.0f} switches in 100, {viewers}; {counts}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--seeds", type=int, default=2, help="ten simulated minutes each")
    parser.add_argument("--draws", type=int, default=20, help="audiences a row")
    parser.add_argument("--every", type=int, default=3, help="each which stranger stands for a visit")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print("# Demographics on strangers")
    demographics(options.data, options.draws)
    print("\n# The deviation of a visit")
    spread.report(options.data, options.videos, options.every)
    print("\n# One person, one viewer (simulated)")
    for name, made in tracking.SCENES.items():
        print(scene(name, made, tracking.JUDGED_SEEDS[: options.seeds]), flush=True)


if __name__ == "__main__":
    run_script(main)
