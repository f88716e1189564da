"""The embedded fleet under kills: the collector, which takes its Mosquitto along, and Mosquitto alone, in turn.

`python -m proofs.fleet.kills --times 50`. What Mosquitto loses with its memory must come by `resend`; exit code 1 where
anything is lost or counted twice.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from edge_agender.errors import ConfigError
from edge_agender.fleet.mosquitto import find_programs
from proofs.fleet.people import PLACES
from proofs.fleet.rig import Rig, count

HEAL_S = 150.0
SETTINGS = ("heal.after_s=2", "heal.every_s=6", "page.enabled=false")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    times = parser.parse_args().times
    try:
        find_programs()
    except ConfigError as error:
        print(f"skipped: {error}")
        return 77
    start_s = int(time.time()) // 3600 * 3600 - 86400
    with tempfile.TemporaryDirectory(prefix="edge-agender-kills-") as folder, Rig(Path(folder), SETTINGS) as rig:
        for place in PLACES:
            rig.start_box(place, start_s, start_s + 7200, every_s=0.3)
        for number in range(times):
            time.sleep(1.0)
            if number % 2:
                os.kill(int((rig.folder / "mosquitto" / "pid").read_text()), signal.SIGKILL)
                time.sleep(1.0)
            else:
                rig.kill()
                rig.start()
        print(f"# killed {times} times; {rig.progress()}", flush=True)
        wait_until_healed(rig)
        late = came_late(rig)
        rig.stop_boxes()
        rig.settle()
        result = count(rig)
    print(f"# came late, sent again or not: {late}")
    print(result.line(), flush=True)
    return 0 if result.exact else 1


def wait_until_healed(rig: Rig) -> None:
    """Until nothing is missing twice in a row: devices say their last numbers every five seconds."""
    until_s, calm = time.monotonic() + HEAL_S, 0
    while calm < 3 and time.monotonic() < until_s:
        time.sleep(5)
        calm = calm + 1 if rig.progress().endswith("missing now 0") else 0


def came_late(rig: Rig) -> int:
    with sqlite3.connect(rig.store, timeout=30) as database:
        return int(database.execute("SELECT count(*) FROM message WHERE historical = 1").fetchone()[0])


if __name__ == "__main__":
    sys.exit(main())
