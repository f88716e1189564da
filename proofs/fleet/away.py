"""Mosquitto is killed while the collector is away: what it loses, and what of that is lost where devices are asked.

`python -m proofs.fleet.away --times 20`. One run gives both figures: the control, with `heal.enabled: false`, must lose
something, or the test could not fail; then the collector may ask, and nothing is lost. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from edge_agender.common.output import run_script
from edge_agender.errors import ConfigError
from edge_agender.fleet.mosquitto import COLLECTOR, OwnBroker
from edge_agender.fleet.settings import OwnBrokerConfig
from proofs.fleet.kills import wait_until_healed
from proofs.fleet.people import PLACES
from proofs.fleet.rig import Rig, count, free_port

EVERY_S = 0.1
CONNECTED_S = 120.0
# What is on its way has arrived once as much is missing at so many looks in a row.
CALM, CALM_S = 4, 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    luck, port = random.Random(options.seed), free_port()
    with tempfile.TemporaryDirectory(prefix="edge-agender-away-") as name:
        folder = Path(name)
        try:
            own = OwnBroker(OwnBrokerConfig(port=port), folder / "mosquitto", "edge-agender")
        except ConfigError as error:
            print(f"skipped: {error}")
            return 77
        with own as broker, rig_at(broker, port, folder) as rig:
            wait_connected(rig)
            start_s = int(time.time()) // 3600 * 3600 - 86400
            for place in PLACES:
                rig.start_box(place, start_s, start_s, every_s=EVERY_S)
            for _ in range(options.times):
                kill_while_away(rig, broker, port, luck)
            lost = missing(rig)
            print(f"# killed {options.times} times while the collector was away; {rig.progress()}")
            print(f"# without resend: {lost} lost", flush=True)
            rig.stop()
            rig.settings = [*rig.settings, "heal.enabled=true"]
            rig.start()
            wait_until_healed(rig)
            rig.stop_boxes()
            rig.settle()
            result = count(rig)
    print(result.line(), flush=True)
    return 0 if result.exact and lost else 1


def rig_at(broker: OwnBroker, port: int, folder: Path) -> Rig:
    """A fleet on a broker that is not its own, configured as its own would be."""

    def let_in(name: str, password: str) -> None:
        broker.credentials.put(name, password)
        broker.reload()

    settings = [
        "broker=mqtt",
        f"mqtt.port={port}",
        "mqtt.host=127.0.0.1",
        f"mqtt.username={COLLECTOR}",
        f"mqtt.password_file={broker.credentials.folder / 'collector-password'}",
        "mqtt.reconnect_max_s=1",
        "heal.enabled=false",
        "heal.after_s=2",
        "heal.every_s=6",
    ]
    return Rig(folder / "fleet", settings, let_in=let_in, log=folder / "serve.log")


def wait_connected(rig: Rig) -> None:
    until_s = time.monotonic() + CONNECTED_S
    while time.monotonic() < until_s:
        with suppress(OSError), urllib.request.urlopen(f"{rig.page}metrics", timeout=5) as answer:
            if b"\nedge_agender_fleet_broker_connected 1" in answer.read():
                return
        time.sleep(0.1)
    raise SystemExit("the collector does not come to its broker")


def kill_while_away(rig: Rig, broker: OwnBroker, port: int, luck: random.Random) -> None:
    rig.stop()
    time.sleep(luck.uniform(0.5, 2.0))
    os.kill(broker.pid, signal.SIGKILL)
    before = broker.restarts
    while broker.restarts == before or not listens(port):
        time.sleep(0.05)
    time.sleep(luck.uniform(0.2, 1.0))
    rig.start()
    wait_connected(rig)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def missing(rig: Rig) -> int:
    """How many of the messages that the devices have sent by now do not come: the same number again and again."""
    put, found = rig.sent(), [-1]
    while len(found) < CALM or len(set(found[-CALM:])) > 1:
        time.sleep(CALM_S)
        found.append(len(put - rig.stored()))
    return found[-1]


if __name__ == "__main__":
    run_script(main)
