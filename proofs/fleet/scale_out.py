"""Three NATS nodes, PostgreSQL and two collectors under kills: how much is lost, and how much a stream of one's own.

`python -m proofs.fleet.scale_out --seconds 120`. Exit code 1 where anything is lost or stored twice; 77 where this
machine lacks a server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import nats
from nats.js.api import RetentionPolicy, StreamConfig

from edge_agender.common.output import run_script
from edge_agender.fleet.rollup import differing_hours
from edge_agender.fleet.store import open_database
from proofs.fleet.rig import cli
from proofs.fleet.servers import PASSWORD, USER, Nats, NotHereError, Postgresql

CAPTURE = "CAPTURE"
DOWN_S, BETWEEN_S = 2.0, 3.0
SETTLE_S = 120.0
HANGS_S, THAWED_S = 120.0, 20.0


@dataclass
class Run:
    """`kills` in order; `hung_s`: each time from a node's hanging until of every device something newer was stored."""

    kills: list[str] = field(default_factory=list)
    hung_s: list[float | None] = field(default_factory=list)


class Collectors:
    """Processes of `fleet serve` on one durable consumer."""

    def __init__(self, folder: Path, options: list[str], count: int) -> None:
        self._folder, self._options, self.count = folder, options, count
        self._running: dict[int, subprocess.Popen[str]] = {}
        for number in range(count):
            self.start(number)

    def start(self, number: int) -> None:
        words = [*self._options, "--set", f"folder={self._folder / f'collector-{number}'}"]
        self._running[number] = subprocess.Popen(cli("serve", *words), stdout=subprocess.PIPE, text=True)
        out = self._running[number].stdout
        assert out is not None
        if not out.readline():
            raise SystemExit("fleet serve does not start")

    def kill(self, number: int) -> None:
        process = self._running.pop(number)
        process.kill()
        process.communicate()

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.communicate(timeout=60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long devices send under kills")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two windows of a device")
    parser.add_argument("--hangs", type=int, default=1, help="how many times a node hangs afterwards, each in turn")
    parser.add_argument("--collect", choices=("jetstream", "mqtt"), default="jetstream", help="how collectors read")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        try:
            return prove_anew(options)
        except NotReadyError as error:
            print(f"# {error}: once more, from nothing", flush=True)
            return prove_anew(options)
    except NotReadyError as error:
        print(error)
        return 1
    except NotHereError as error:
        print(f"skipped: {error}")
        return 77


class NotReadyError(RuntimeError):
    """Nothing has been sent yet, so nothing can be lost: a cluster of three that found no leader, say."""


def prove_anew(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="edge-agender-scale-") as folder:
        return prove(Path(folder), options)


def prove(folder: Path, options: argparse.Namespace) -> int:
    folder.chmod(0o711)
    (folder / "password").write_text(PASSWORD + "\n")
    with Postgresql(folder) as store, Nats(folder) as cluster:
        print(f"# PostgreSQL {store.version}, three NATS nodes, {options.devices} devices", flush=True)
        by_mqtt = options.collect == "mqtt"
        settings = [
            f"store={store.url}",
            *(through_mqtt if by_mqtt else through_jetstream)(folder, cluster),
            "page.enabled=false",
            "heal.enabled=false",
            "log_level=error",
        ]
        # A session of MQTT is one collector's.
        collectors = Collectors(folder, [word for one in settings for word in ("--set", one)], 1 if by_mqtt else 2)
        try:
            wait_for_consumer(cluster, by_mqtt=by_mqtt)
            asyncio.run(make_capture(cluster))
            run = under_kills(folder, store, cluster, collectors, options)
            return judge(folder, store, cluster, run)
        finally:
            collectors.stop()


def through_jetstream(folder: Path, cluster: Nats) -> list[str]:
    return [
        "broker=nats",
        f"nats.servers={json.dumps(cluster.clients)}",
        f"nats.mqtt_addresses={json.dumps(cluster.mqtt)}",
        f"nats.user={USER}",
        f"nats.password_file={folder / 'password'}",
        "nats.queued_mb=500",
    ]


def through_mqtt(folder: Path, cluster: Nats) -> list[str]:
    """As at any cluster of MQTT brokers: a lasting session, and the next address where a node is lost or hangs."""
    return [
        "broker=mqtt",
        f"mqtt.hosts={json.dumps(cluster.mqtt)}",
        "mqtt.protocol=3.1.1",
        "mqtt.ack_timeout_s=10",
        "mqtt.reconnect_max_s=2",
        f"mqtt.username={USER}",
        f"mqtt.password_file={folder / 'password'}",
    ]


def under_kills(
    folder: Path, store: Postgresql, cluster: Nats, collectors: Collectors, options: argparse.Namespace
) -> Run:
    luck, run = random.Random(options.seed), Run()
    ports = [str(node.mqtt_port) for node in cluster.nodes]
    words = ["--count", options.devices, "--folder", folder / "boxes", "--every", options.every, "--ports", *ports]
    login = ["--user", USER, "--password-file", folder / "password"]
    command = [sys.executable, "-m", "proofs.fleet.swarm", *map(str, [*words, *login])]
    swarm = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert swarm.stdout is not None
    try:
        assert swarm.stdout.readline().strip() == "ready"
        until_s = time.monotonic() + options.seconds
        time.sleep(5)
        turn = 0
        while time.monotonic() < until_s:
            kill_one(cluster, collectors, luck, run, turn)
            turn += 1
        for number in range(options.hangs):
            if number:
                time.sleep(THAWED_S)
            run.hung_s.append(hang(store, cluster, number % len(cluster.nodes), options.devices))
        swarm.terminate()
        print(f"# {swarm.stdout.readline().strip()} at the devices", flush=True)
    except BaseException:
        swarm.kill()
        raise
    finally:
        swarm.communicate()
    return run


def kill_one(cluster: Nats, collectors: Collectors, luck: random.Random, run: Run, turn: int) -> None:
    """Each node in turn and so every leader, once all three; every fourth time a collector instead."""
    if turn % 4 == 3:
        number = turn // 4 % collectors.count
        collectors.kill(number)
        collectors.start(number)
        run.kills.append("collector")
    elif turn == 5:
        for node in cluster.nodes:
            cluster.kill(node)
        time.sleep(DOWN_S)
        for node in cluster.nodes:
            cluster.start(node)
        for node in cluster.nodes:
            cluster.wait(node)
        run.kills.append("all three nodes")
    else:
        node = luck.choice(cluster.nodes) if turn > 5 else cluster.nodes[turn % 3]
        cluster.kill(node)
        time.sleep(DOWN_S)
        cluster.start(node)
        cluster.wait(node)
        run.kills.append(f"node {node.number}")
    print(f"# killed {run.kills[-1]}", flush=True)
    time.sleep(BETWEEN_S + luck.random())


def hang(store: Postgresql, cluster: Nats, number: int, devices: int) -> float | None:
    """Stop a node with SIGSTOP: its connections stay open and nothing is answered. None: not within two minutes.

    A node that is not thawed for long keeps up by itself; the next one hangs once it has.
    """
    database = open_database(store.url, migrate=False)
    node, began_s = cluster.nodes[number], time.time()
    cluster.freeze(node)
    newer = "SELECT device, min(received_s) FROM message WHERE received_s > :s GROUP BY device"
    took_s = None
    while time.time() < began_s + HANGS_S:
        with database.reading() as transaction:
            heard = transaction.rows(newer, {"s": int(began_s) + 1})
        if len(heard) == devices:
            took_s = time.time() - began_s
            break
        time.sleep(0.2)
    cluster.thaw(node)
    database.close()
    after = sorted(at_s - began_s for _, at_s in heard)
    middle = f"half of the devices after {after[len(after) // 2]:.0f} s, " if after else ""
    all_ = f"all after {took_s:.1f} s" if took_s is not None else f"{len(heard)} of {devices} within {HANGS_S:.0f} s"
    print(f"# node {number} hangs: {middle}{all_}", flush=True)
    return took_s


def wait_for_consumer(cluster: Nats, timeout_s: float = 100.0, *, by_mqtt: bool = False) -> None:
    """Return once the stream of MQTT keeps messages for the collector."""

    async def exists() -> bool:
        client = await nats.connect(cluster.clients, user=USER, password=PASSWORD)
        try:
            if not by_mqtt:
                await client.jetstream().consumer_info("$MQTT_msgs", "edge-agender-fleet")
            elif not await client.jetstream().consumers_info("$MQTT_msgs"):
                return False
        except Exception as error:  # not yet: no stream, no leader, no answer
            seen[:] = [f"{type(error).__name__}: {error}"]
            return False
        finally:
            await client.close()
        return True

    seen = ["no stream of MQTT"]
    until_s = time.monotonic() + timeout_s
    while not asyncio.run(exists()):
        if time.monotonic() > until_s:
            raise NotReadyError(f"the collectors made no consumer ({seen[0]})")
        time.sleep(0.5)


async def make_capture(cluster: Nats) -> None:
    """The control: a stream of one's own on what the nodes pass on, as many would build it."""
    client = await nats.connect(cluster.clients, user=USER, password=PASSWORD)
    config = StreamConfig(
        name=CAPTURE, subjects=["edge-agender.*.window"], num_replicas=3, retention=RetentionPolicy.LIMITS
    )
    await client.jetstream().add_stream(config)
    await client.close()


async def captured(cluster: Nats) -> set[tuple[str, str, int]]:
    """What the control has, by device, boot and number."""
    client = await nats.connect(cluster.clients, user=USER, password=PASSWORD)
    js = client.jetstream()
    subscription = await js.pull_subscribe("edge-agender.*.window", durable="reader", stream=CAPTURE)
    found: set[tuple[str, str, int]] = set()
    try:
        while True:
            for message in await subscription.fetch(1000, timeout=3):
                payload = json.loads(message.data)
                found.add((payload["device"], payload["boot_id"], payload["sequence"]))
                await message.ack()
    except TimeoutError:
        pass
    await client.close()
    return found


def judge(folder: Path, store: Postgresql, cluster: Nats, run: Run) -> int:
    sent: dict[tuple[str, str, int], int] = {}
    put: set[tuple[str, str, int]] = set()
    for line in (folder / "boxes" / "journal").read_text().splitlines():
        entry = json.loads(line)
        key = (entry["device"], entry["boot_id"], entry["sequence"])
        if entry["step"] == "put":
            put.add(key)
        else:
            sent[key] = entry["viewers"]
    database = open_database(store.url)
    until_s = time.monotonic() + SETTLE_S
    while time.monotonic() < until_s:
        with database.reading() as transaction:
            rows = transaction.rows("SELECT device, boot_id, sequence FROM message WHERE kind = 'window'")
            marked = transaction.rows("SELECT count(*) FROM dirty")[0][0]
        if len(rows) >= len(put) and not marked:
            break
        time.sleep(0.5)
    with database.reading() as transaction:
        viewers = int(transaction.rows("SELECT sum(viewers) FROM audience_window")[0][0])
    stored = {(row[0], row[1], row[2]) for row in rows}
    twice = len(rows) - len(stored) + int(viewers != sum(sent[key] for key in stored))
    lost, differ = len(put - stored), len(differing_hours(database))
    database.close()
    control = len(put - asyncio.run(captured(cluster)))
    kinds = {kind: sum(one.startswith(kind) for one in run.kills) for kind in ("node", "all", "collector")}
    print(f"# kills: {kinds['node']} of one node, {kinds['all']} of all three, {kinds['collector']} of a collector")
    hung = ", ".join("never" if one is None else f"{one:.0f} s" for one in run.hung_s)
    print(f"# a node that hangs (SIGSTOP): all devices elsewhere after {hung}")
    print(f"# hours that differ from recomputation: {differ}")
    print(f"# control, a stream of one's own: {control} of {len(put)} lost")
    print(f"sent {len(put)} stored {len(stored)} twice {twice} lost {lost}", flush=True)
    return int(bool(lost or twice or differ or None in run.hung_s))


if __name__ == "__main__":
    run_script(main)
