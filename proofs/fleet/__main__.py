"""A fleet from nothing: broker, collector, page and five simulated devices, one killed, one that comes late.

`make fleet SECONDS=90`. The last line counts what the devices sent against what was stored; exit code 1 where that is
not the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from edge_agender.common.output import run_script
from proofs.fleet.people import PLACES
from proofs.fleet.rig import Rig, count

DAY_S = 86400
KILLED, LATE = "station", "library"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop after that; without it, on Ctrl-C")
    seconds = parser.parse_args().seconds
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday_s = int(midnight.timestamp()) - DAY_S
    with tempfile.TemporaryDirectory(prefix="edge-agender-fleet-") as folder, Rig(Path(folder)) as rig:
        print(f"# page: {rig.page}  user: operator  password: {rig.password}", flush=True)
        print("# five devices send yesterday, then a minute each second", flush=True)
        started_s = time.monotonic()
        span_s = seconds or float("inf")
        for place in PLACES:
            offline_s = min(40.0, span_s / 2) if place.name == LATE else 0.0
            rig.start_box(place, yesterday_s, int(midnight.timestamp()), offline_s)
        try:
            _story(rig, started_s, span_s)
        except KeyboardInterrupt:
            print("# stopping", flush=True)
        rig.stop_boxes()
        rig.settle()
        result = count(rig)
    print(result.line(), flush=True)
    return 0 if result.exact else 1


def _story(rig: Rig, started_s: float, span_s: float) -> None:
    """Kill one device and start it again; then let time pass."""
    steps = [
        (min(15.0, span_s / 4), f"# {KILLED} is killed (SIGKILL)", lambda: rig.kill_box(KILLED)),
        (min(22.0, span_s / 3), f"# {KILLED} starts again", lambda: rig.restart_box(KILLED)),
        (min(40.0, span_s / 2), f"# {LATE} was offline until now", lambda: None),
    ]
    for at_s, text, act in steps:
        time.sleep(max(0.0, started_s + at_s - time.monotonic()))
        print(text, flush=True)
        act()
    while time.monotonic() < started_s + span_s:
        time.sleep(min(10.0, max(0.0, started_s + span_s - time.monotonic())))
        print(f"# {rig.progress()}", flush=True)


if __name__ == "__main__":
    run_script(main)
