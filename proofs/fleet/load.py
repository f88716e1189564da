"""What collection and pages cost: processor time a message, seconds a page, bytes a year.

`python -m proofs.fleet.load`; with `--real-time 600`, that alone, for so many seconds (real_time.py). PostgreSQL of
this machine or of the Debian 13 root; without one, SQLite alone.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from edge_agender.common.output import run_script
from edge_agender.errors import ConfigError
from edge_agender.fleet.intake import read
from edge_agender.fleet.keeping import HOUR_S, keep
from edge_agender.fleet.publish import SUMS, Rules
from edge_agender.fleet.query import Filters, audience
from edge_agender.fleet.records import Arrival
from edge_agender.fleet.rollup import roll_up_all
from edge_agender.fleet.store import Database, open_database
from edge_agender.messages.build import utc_text
from proofs.fleet.people import PLACES, Audience
from proofs.fleet.real_time import A_SECOND, DEVICES, in_real_time, window
from proofs.fleet.servers import NotHereError, Postgresql

BATCH = A_SECOND
SECONDS = 120
DAY_S = 86400


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-time", type=int, metavar="SECONDS")
    seconds = parser.parse_args().real_time
    return real_time(seconds) if seconds else as_fast_as_it_goes()


def real_time(seconds: int) -> int:
    with tempfile.TemporaryDirectory(prefix="edge-agender-load-") as name:
        Path(name).chmod(0o711)
        try:
            with Postgresql(Path(name)) as server:
                print(f"PostgreSQL {server.version}", flush=True)
                return int(not in_real_time(server, Path(name), seconds))
        except (NotHereError, ConfigError) as error:
            print(f"skipped: {error}")
            return 77


def as_fast_as_it_goes() -> int:
    with tempfile.TemporaryDirectory(prefix="edge-agender-load-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        lite = open_database(f"sqlite:///{folder / 'fleet.sqlite3'}")
        a_year_of_forty(lite)
        lite.close()
        try:
            with Postgresql(folder) as server:
                print(f"PostgreSQL {server.version}")
                database = open_database(server.url)
                ten_thousand(database, server)
                a_day_of_a_thousand(database)
                database.close()
        except NotHereError as error:
            print(f"PostgreSQL: skipped: {error}")
    return 0


def ten_thousand(database: Database, server: Postgresql) -> None:
    """A window a minute of each of 10,000 devices, in the order of the clock; two minutes of it, as fast as it goes."""
    crowd = Audience(PLACES[2], 1)
    start_s = int(time.time()) // HOUR_S * HOUR_S - HOUR_S
    fields = [crowd.window(start_s + 12 * HOUR_S, 60) for _ in range(50)]
    arrivals = [_window(number % DEVICES, number // DEVICES, start_s, fields) for number in range(A_SECOND * SECONDS)]
    keep(database, [], time.time())
    cpu_s, began_s = _cpu_s(server), time.monotonic()
    for first in range(0, len(arrivals), BATCH):
        records = [record for one in arrivals[first : first + BATCH] if (record := read(one, "edge-agender"))]
        keep(database, records, time.time())
    roll_up_all(database, Rules(), time.time())
    ours_s, theirs_s = (after - before for after, before in zip(_cpu_s(server), cpu_s, strict=True))
    share = (ours_s + theirs_s) / SECONDS
    print(f"10,000 devices, {A_SECOND} windows a second, batches of a second: {share:.2f} of a core"
          f" (collector {ours_s / SECONDS:.2f}, PostgreSQL {theirs_s / SECONDS:.2f};"
          f" {SECONDS} s of traffic in {time.monotonic() - began_s:.0f} s)")  # fmt: skip


def _cpu_s(server: Postgresql) -> tuple[float, float]:
    """Processor seconds so far of this process, and of the server with all its children."""
    postmaster = psutil.Process(server.pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    return time.process_time(), sum(sum(one.cpu_times()[:2]) for one in family)


def _window(device: int, number: int, start_s: int, fields: list[dict[str, Any]]) -> Arrival:
    name = f"box-{device:05d}"
    payload = window(name, number, start_s, fields[device % len(fields)])
    return Arrival(f"edge-agender/{name}/window", payload, time.time())


def a_day_of_a_thousand(database: Database) -> None:
    _fill(database, [f"screen-{number:04d}" for number in range(1000)], 1)
    filters = Filters("2026-01-01", "2026-01-01")
    print(f"a day's page of 1,000 devices: {_median_ms(lambda: audience(database, filters, ('device',))):.0f} ms")


def a_year_of_forty(database: Database) -> None:
    _fill(database, [f"screen-{number:02d}" for number in range(40)], 365)
    filters = Filters("2026-06-01", "2026-06-30")
    by_day = _median_ms(lambda: audience(database, filters, ("device", "day")))
    by_device = _median_ms(lambda: audience(database, filters, ("device",)))
    size_mb = database.size_bytes() / 1e6
    print(f"SQLite, 40 devices, a year of hours: a month's page {by_device:.0f} ms by device, {by_day:.0f} ms by device"
          f" and day; file {size_mb:.0f} MB")  # fmt: skip


def _fill(database: Database, devices: list[str], days: int) -> None:
    """Hours as they are published: the whole and three contents each."""
    luck = random.Random(1)
    first_s = 1767225600  # 2026-01-01
    columns = ("device", "day", "hour_s", "content", *SUMS)
    with database.writing() as transaction:
        transaction.insert_new("device", ("name", "first_seen_s"), ("name",), [(name, first_s) for name in devices])
    for day in range(days):
        text = utc_text(first_s + DAY_S * day)[:10]
        rows = [
            (name, text, first_s + DAY_S * day + HOUR_S * hour, content, *_sums(luck))
            for name in devices
            for hour in range(24)
            for content in ("", "cola", "news", "spring-sale")
        ]
        with database.writing() as transaction:
            transaction.insert_new("published", columns, columns[:4], rows)


def _sums(luck: random.Random) -> tuple[Any, ...]:
    viewers = luck.randrange(5, 200)
    values = {"covered_s": 3600.0, "opportunities": viewers + 20, "viewers": viewers, "engaged": viewers // 2}
    values |= {"dwell_s": 6.0 * viewers, "dwell_viewers": viewers, "attention_s": 2.5 * viewers}
    values |= {"attention_viewers": viewers, "count_s": 6.0 * viewers, "count_covered_s": 3600.0}
    return tuple(values[name] for name in SUMS)


def _median_ms(ask: Callable[[], object], times: int = 7) -> float:
    took = []
    for _ in range(times):
        began_s = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(took)


if __name__ == "__main__":
    run_script(main)
