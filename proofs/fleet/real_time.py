"""10,000 devices in real time: a window a minute of each, through Mosquitto and `fleet serve` into PostgreSQL.

Called by `python -m proofs.fleet.load --real-time 600`.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from edge_agender.fleet.keeping import HOUR_S
from edge_agender.fleet.mosquitto import COLLECTOR, OwnBroker
from edge_agender.fleet.settings import OwnBrokerConfig
from edge_agender.fleet.store import open_database
from edge_agender.messages.build import utc_text
from proofs.fleet.people import PLACES, Audience
from proofs.fleet.rig import cli, free_port
from proofs.fleet.servers import Postgresql

DEVICES, A_SECOND = 10_000, 167
SETTLE_S, STOP_S = 120.0, 90.0
VERSIONS = {"software": "0.1.0", "detector": "ssd", "estimator": "agender-ssrnet", "configuration": "simulated"}


def in_real_time(server: Postgresql, folder: Path, seconds: int) -> bool:
    """Print what collector and store took of a core; return whether everything was stored."""
    port = free_port()
    with OwnBroker(OwnBrokerConfig(port=port), folder / "mosquitto", "edge-agender") as broker:
        secret = broker.credentials.folder / "collector-password"
        settings = (
            f"store={server.url}", f"folder={folder}", "broker=mqtt", "mqtt.host=127.0.0.1", f"mqtt.port={port}",
            f"mqtt.username={COLLECTOR}", f"mqtt.password_file={secret}", "page.enabled=false", "heal.enabled=false",
            "log_level=error",
        )  # fmt: skip
        with serving([word for one in settings for word in ("--set", one)]) as collector:
            wait_for_session(folder)
            before = (cpu_s(collector), cpu_s(server.pid), cpu_s(broker.pid))
            sent = publish(port, secret.read_text().strip(), seconds)
            stored = wait_stored(server.url, sent)
            after = (cpu_s(collector), cpu_s(server.pid), cpu_s(broker.pid))
    # All that it took, over the seconds in which the devices measured: what is made up later counts too.
    shares = [(late - early) / seconds for early, late in zip(before, after, strict=True)]
    print(
        f"10,000 devices, {A_SECOND} windows a second in real time for {seconds} s: {shares[0] + shares[1]:.2f} of a"
        f" core (collector {shares[0]:.2f}, PostgreSQL {shares[1]:.2f}); Mosquitto {shares[2]:.2f};"
        f" sent {sent} stored {stored}"
    )
    return stored == sent


@contextmanager
def serving(options: list[str]) -> Iterator[int]:
    process = subprocess.Popen(cli("serve", *options), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("fleet serve does not start")
        yield process.pid
    finally:
        process.terminate()
        process.communicate(timeout=STOP_S)


def wait_for_session(folder: Path) -> None:
    """The broker saves every second which sessions there are: what is sent before the collector's is not for it."""
    database, until_s = folder / "mosquitto" / "mosquitto.db", time.monotonic() + SETTLE_S
    while time.monotonic() < until_s:
        if database.exists() and COLLECTOR.encode() in database.read_bytes():
            return
        time.sleep(0.2)
    raise SystemExit("the collector does not come to its broker")


def publish(port: int, password: str, seconds: int) -> int:
    """Send at an even rate, whatever comes back; return how many."""
    client = Client(CallbackAPIVersion.VERSION2, "devices", protocol=MQTTv5)
    client.username_pw_set(COLLECTOR, password)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    crowd = Audience(PLACES[2], 1)
    start_s = int(time.time()) // HOUR_S * HOUR_S - HOUR_S
    fields = [crowd.window(start_s, 60) for _ in range(50)]
    began_s = time.monotonic()
    last = None
    for number in range(A_SECOND * seconds):
        time.sleep(max(0.0, began_s + number / A_SECOND - time.monotonic()))
        name = f"box-{number % DEVICES:05d}"
        payload = window(name, number // DEVICES, start_s, fields[number % len(fields)])
        last = client.publish(f"edge-agender/{name}/window", payload, qos=1)
    if last is not None:
        last.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    return A_SECOND * seconds


def window(name: str, number: int, start_s: int, fields: dict[str, Any]) -> bytes:
    head = {"schema": "edge-agender.window", "version": 1, "device": name, "boot_id": f"boot-{name}"}
    times = {"sequence": number, "historical": False, "number": number, "start": utc_text(start_s + 60 * number)}
    return json.dumps(head | times | {"length_s": 60, "versions": VERSIONS} | fields).encode()


def wait_stored(url: str, sent: int) -> int:
    """Return how many are stored, once that is all, every hour is made, or nothing more comes."""
    database, until_s, stored = open_database(url, migrate=False), time.monotonic() + SETTLE_S, 0
    while time.monotonic() < until_s:
        with database.reading() as transaction:
            stored = int(transaction.rows("SELECT count(*) FROM message")[0][0])
            marked = transaction.rows("SELECT count(*) FROM dirty")[0][0]
        if stored >= sent and not marked:
            break
        time.sleep(1.0)
    database.close()
    return stored


def cpu_s(pid: int) -> float:
    """Processor seconds so far of a process and all its children, those that have ended too."""
    whole = psutil.Process(pid)
    times = [one.cpu_times() for one in (whole, *whole.children(recursive=True))]
    ended = whole.cpu_times()
    return sum(one.user + one.system for one in times) + ended.children_user + ended.children_system
