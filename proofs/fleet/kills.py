"""The embedded fleet under whatever goes wrong: its collector is killed at random moments, and its Mosquitto, too.

`python -m proofs.fleet.kills --times 50`. Meanwhile five devices send, one with a clock a year behind and one a year
ahead, and a sixth sends nothing but nonsense; then the disk is full (root), with traffic and kills. Exit code 1 where
anything is lost, counted twice or not told, or where the collector ends by itself.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_agender.common.output import run_script
from edge_agender.errors import ConfigError
from edge_agender.fleet.mosquitto import find_programs
from edge_agender.fleet.overview import devices
from edge_agender.fleet.store import open_database
from proofs.fleet.people import PLACES
from proofs.fleet.poison import Poison
from proofs.fleet.rig import Result, Rig, count

# Each gap of a device is asked for by a command of its own, one in six seconds.
HEAL_S = 600.0
# A collector lives for up to so many times as long as it takes to start: kills at that time are wanted as well.
LIFE = 2.5
SETTINGS = ("heal.after_s=2", "heal.every_s=6", "page.enabled=false")
YEAR_S = 365 * 86400
CLOCKS = {"library": -YEAR_S, "cinema": YEAR_S}
DISK, FULL_S = "256m", 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        find_programs()
    except ConfigError as error:
        print(f"skipped: {error}")
        return 77
    with tempfile.TemporaryDirectory(prefix="edge-agender-kills-") as name, disk(Path(name) / "disk") as (place, small):
        log = Path(name) / "serve.log"
        with Rig(place / "fleet", SETTINGS, devices=Path(name), log=log) as rig:
            on_full_disk = max(1, options.times // 10) if small else 0
            faults = Faults(rig, random.Random(options.seed))
            start_s = int(time.time()) // 3600 * 3600 - 86400
            for one in PLACES:
                rig.start_box(one, start_s, start_s + 7200, every_s=0.3, clock_off_s=CLOCKS.get(one.name, 0))
            with Poison(rig.enrol("poison")) as poison:
                for number in range(options.times - on_full_disk):
                    faults.kill(number)
            if small:
                faults.fill_disk(place / "ballast", on_full_disk)
            print(f"# killed {faults.kills} times; {rig.progress()}", flush=True)
            wait_until_healed(rig)
            rig.stop_boxes()
            rig.settle()
            faults.note_end()
            return judge(rig, faults, poison, small)


@contextmanager
def disk(place: Path) -> Iterator[tuple[Path, bool]]:
    """A small disk of its own, which can be full; where that takes root, a folder."""
    place.mkdir()
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], capture_output=True, check=False
    ).returncode
    try:
        yield place, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=False)


class Faults:
    """`stops`: exit codes of collectors that nobody ended; `refused`: of those that did not start on a full disk."""

    def __init__(self, rig: Rig, luck: random.Random) -> None:
        self._rig, self._luck = rig, luck
        self.kills = 0
        self.stops: list[int] = []
        self.refused: list[int] = []

    def kill(self, number: int) -> None:
        """Kill the collector at any moment of its life, every fifth time its Mosquitto alone before, and start it."""
        time.sleep(self._luck.uniform(0.05, LIFE * self._rig.start_s))
        if number % 5 == 4:
            with suppress(ProcessLookupError, FileNotFoundError):
                os.kill(int((self._rig.folder / "mosquitto" / "pid").read_text()), signal.SIGKILL)
            time.sleep(self._luck.uniform(0.05, 1.5))
        self.note_end()
        self._rig.kill()
        self.kills += 1
        self._rig.launch()

    def note_end(self) -> None:
        if (code := self._rig.ended) is not None:
            self.stops.append(code)

    def fill_disk(self, ballast: Path, kills: int) -> None:
        """No room for some time, with traffic; the collector is killed meanwhile and started as systemd would."""
        if (code := self._restart()) is not None:
            self.stops.append(code)
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        print("# the disk is full", flush=True)
        time.sleep(FULL_S)
        for _ in range(kills):
            self.note_end()
            if (code := self._restart()) is not None:
                self.refused.append(code)
            time.sleep(2.0)
        ballast.unlink()
        print("# there is room again", flush=True)
        while self._restart() is not None:
            time.sleep(1.0)

    def _restart(self) -> int | None:
        self._rig.kill()
        self.kills += 1
        return self._rig.try_start()


def wait_until_healed(rig: Rig) -> None:
    """Until all that the devices had sent at the look before is stored, three times in a row.

    A gap is known once something later comes: while a device waits to connect again, nothing is missing yet.
    """
    until_s, calm, sent = time.monotonic() + HEAL_S, 0, rig.sent()
    while calm < 3 and time.monotonic() < until_s:
        time.sleep(5)
        calm = calm + 1 if sent <= rig.stored() else 0
        sent = rig.sent()


def judge(rig: Rig, faults: Faults, poison: Poison, small: bool) -> int:
    with sqlite3.connect(rig.store, timeout=30) as database:
        refused = b"\n".join(bytes(row[0])[:200] for row in database.execute("SELECT payload FROM refused"))
        late = database.execute("SELECT count(*) FROM message WHERE historical = 1").fetchone()[0]
    wanted = poison.acknowledged
    untold = [text for text in wanted if text.encode() not in refused]
    print(f"# nonsense: {len(wanted)} sent, {len(wanted) - len(untold)} kept aside with a reason")
    store = open_database(f"sqlite:///{rig.store}")
    shown = {one["name"]: one["alarms"] for one in devices(store, "", 300, time.time())}
    store.close()
    off = [name for name in CLOCKS if any("clock is off" in text for text in shown[name])]
    print(f"# clocks wrong by a year: {len(off)} of {len(CLOCKS)} shown")
    assert rig.log is not None
    said = rig.log.read_text()
    full = said.count("is full: nothing is acknowledged until this heals")
    if small:
        print(
            f"# full disk: said {full} times; {len(faults.refused)} starts refused with {sorted(set(faults.refused))}"
        )
    else:
        print("# full disk: not tried, it takes root")
    print(f"# came late, sent again or not: {late}")
    print(f"# {faults.kills} kills, ended by itself {len(faults.stops)} times {faults.stops or ''}")
    result: Result = count(rig)
    print(result.line(), flush=True)
    told = not untold and len(off) == len(CLOCKS) and (full > 0 or not small)
    if not (told and result.exact and not faults.stops):
        print(said[-3000:])
        return 1
    return 0


if __name__ == "__main__":
    run_script(main)
