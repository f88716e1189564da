"""Run the daemon on the demo with a broker that comes and goes, and see whether anything grows:

    python -m proofs.soak --hours 2

Samples resident memory, open descriptors, threads and the published latency every few seconds; prints the slopes from
a robust line (Theil and Sen) after the first ten minutes (a fifth of a shorter run). Exit code 1 above the limits.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import paho.mqtt.client as paho
import psutil

from edge_agender.common.output import run_script

SAMPLE_S = 5.0
UP_S, DOWN_S = 45.0, 10.0
WARM_UP_S = 600.0
MOST_MEMORY_MB_H = 1.0
MOST_POINTS = 300


@dataclass
class Samples:
    hours: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)
    threads: list[float] = field(default_factory=list)


def free_port() -> int:
    """Not one of those that Linux gives to who connects: while the broker is away, its port would be given away too."""
    for port in random.sample(range(15_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise SystemExit("no port is free from 15000 to 32000")


class FlappingBroker(threading.Thread):
    """Mosquitto on loopback, up and down in turn, and a subscriber that counts what arrives and how late."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(daemon=True)
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            sys.exit("the soak needs mosquitto: sudo apt install mosquitto")
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type error\n")
        self._command, self._port = [program, "-c", str(config)], port
        self._ended = threading.Event()
        self.restarts, self.frames = 0, 0
        self.latencies_ms: list[tuple[float, float]] = []

    def run(self) -> None:
        while not self._ended.is_set():
            broker = subprocess.Popen(self._command)
            client = paho.Client(paho.CallbackAPIVersion.VERSION2)
            client.on_message = self._heard
            client.on_connect = lambda c, *_: c.subscribe("edge-agender/#")
            client.reconnect_delay_set(1, 2)
            client.connect_async("127.0.0.1", self._port)
            client.loop_start()
            self._ended.wait(UP_S)
            client.loop_stop()
            broker.terminate()
            broker.wait()
            self.restarts += 1
            self._ended.wait(DOWN_S)

    def _heard(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/frame"):
            self.frames += 1
        elif message.topic.endswith("/health"):
            with suppress(KeyError, TypeError, ValueError):
                self.latencies_ms.append((time.monotonic(), float(json.loads(message.payload)["latency_p95_ms"])))

    def stop(self) -> None:
        self._ended.set()
        self.join(60)


def slope(x: list[float], y: list[float]) -> float:
    """Return the median slope between all pairs of points, of at most MOST_POINTS evenly chosen ones."""
    step = max(len(x) // MOST_POINTS, 1)
    points = list(zip(x[::step], y[::step], strict=True))
    rises = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 > x1]
    return statistics.median(rises) if rises else 0.0


def sample(process: psutil.Process, seconds: float) -> Samples:
    samples, began = Samples(), time.monotonic()
    warm_up_s = min(WARM_UP_S, seconds / 5)
    while (now_s := time.monotonic() - began) < seconds:
        if now_s >= warm_up_s:
            samples.hours.append(now_s / 3600)
            samples.memory_mb.append(process.memory_info().rss / 1e6)
            samples.descriptors.append(process.num_fds())
            samples.threads.append(process.num_threads())
        time.sleep(SAMPLE_S)
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    hours = parser.parse_args().hours
    port = free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = FlappingBroker(folder, port)
        broker.start()
        stack.callback(broker.stop)
        options = ["source.kind=demo", f"mqtt.port={port}", "mqtt.host=127.0.0.1", "privacy.level=viewer"]
        options += [f"outbox.path={folder}", "publish.health_s=10", "web.port=0", "mqtt.reconnect_max_s=2"]
        words = [sys.executable, "-m", "edge_agender", "run", *(w for o in options for w in ("--set", o))]
        daemon = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        stack.callback(daemon.kill)
        samples = sample(psutil.Process(daemon.pid), hours * 3600)
        daemon.send_signal(signal.SIGTERM)
        code = daemon.wait(120)
    slopes = {name: slope(samples.hours, getattr(samples, name)) for name in ("memory_mb", "descriptors", "threads")}
    latency = slope([t / 3600 for t, _ in broker.latencies_ms], [ms for _, ms in broker.latencies_ms])
    print(f"{hours:g} h, {broker.frames} frame messages, broker restarted {broker.restarts} times, exit code {code}")
    for name, value in slopes.items():
        first, last = getattr(samples, name)[0], getattr(samples, name)[-1]
        print(f"{name:12} {first:10.1f} -> {last:10.1f}   slope {value:+.3f} an hour")
    middle = statistics.median(ms for _, ms in broker.latencies_ms)
    print(f"latency p95  slope {latency:+.3f} ms an hour, median {middle:.1f} ms")
    return int(code != 0 or slopes["memory_mb"] > MOST_MEMORY_MB_H)


if __name__ == "__main__":
    run_script(main)
