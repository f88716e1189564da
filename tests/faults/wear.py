"""What the outbox costs a memory card: bytes that reach the block device, ext4's journal included.

    sudo python tests/faults/wear.py [minutes]

Each scenario has an ext4 image of its own on a loop device and runs at its true pace; a day is extrapolated.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agender.config.settings import OutboxConfig
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.messages.message import Message

# Messages an hour by kind, and whether a broker acknowledges them.
SCENARIOS: dict[str, tuple[dict[str, int], bool]] = {
    "idle: a window a minute": ({"window": 60}, True),
    "busy: a window a minute, a viewer every 5 s": ({"window": 60, "viewer": 720}, True),
    "busy, broker away": ({"window": 60, "viewer": 720}, False),
    "busy, frames durable at 15 Hz": ({"window": 60, "viewer": 720, "frame": 54_000}, True),
    "frames live at 15 Hz": ({"live": 54_000}, True),
}
SETTLE_S = 5.0  # making the store happens once, not each day
SIZES = {"window": 1200, "viewer": 500, "frame": 700, "live": 700}


@contextmanager
def card(folder: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Mount an empty ext4 of 96 MB; yield its folder and the statistics of its block device."""
    image, mount = folder / f"{name}.img", folder / name
    mount.mkdir()
    subprocess.run(("truncate", "-s", "96M", image), check=True)
    # Without lazy initialisation, which would go on writing long after mkfs.
    subprocess.run(("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image), check=True)
    subprocess.run(("mount", "-o", "loop", image, mount), check=True)
    try:
        device = subprocess.run(("findmnt", "-no", "SOURCE", mount), check=True, capture_output=True, text=True).stdout
        yield mount, Path("/sys/block") / Path(device.strip()).name / "stat"
    finally:
        subprocess.run(("umount", "--lazy", mount), check=True)


def written(statistics: Path) -> int:
    """Bytes written to the device since it was attached (sectors of 512 bytes, the kernel's Documentation/block)."""
    return int(statistics.read_text().split()[6]) * 512


def live(folder: Path, rates: dict[str, int], answered: bool, stop: threading.Event) -> None:
    started_s = time.monotonic()
    due_s = dict.fromkeys(rates, started_s)
    with Outbox(OutboxConfig(path=folder)) as outbox:
        while not stop.is_set():
            kind = min(due_s, key=lambda name: due_s[name])
            stop.wait(max(due_s[kind] - time.monotonic(), 0))
            due_s[kind] += 3600 / rates[kind]
            payload = json.dumps({"filler": "x" * (SIZES[kind] - 14)}).encode()
            outbox.put(Message(kind, f"edge-agender/device/{kind}", payload, 1, False, durable=kind != "live"))
            while answered and (taken := outbox.take()) is not None:
                outbox.acknowledge(taken[0])


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory() as name:
        threads = [
            threading.Thread(target=measure, args=(Path(name), number, minutes)) for number in range(len(SCENARIOS))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def measure(folder: Path, number: int, minutes: float) -> None:
    name = list(SCENARIOS)[number]
    rates, answered = SCENARIOS[name]
    stop = threading.Event()
    with card(folder, f"card{number}") as (mount, statistics):
        worker = threading.Thread(target=live, args=(mount / "state", rates, answered, stop))
        worker.start()
        time.sleep(SETTLE_S)
        subprocess.run(("sync", "-f", mount), check=True)
        before = written(statistics)
        time.sleep(minutes * 60)
        subprocess.run(("sync", "-f", mount), check=True)
        cost = written(statistics) - before
        stop.set()
        worker.join()
    payload = sum(SIZES[kind] * rate for kind, rate in rates.items() if kind != "live") * minutes / 60
    result = {"scenario": name, "minutes": minutes, "payload_kB": round(payload / 1e3), "written_kB": round(cost / 1e3)}
    result["day_extrapolated_MB"] = round(cost * 1440 / minutes / 1e6, 1)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
