"""Every speed goal beside what this machine does, in one run:

    edge-agender models add res10 && edge-agender models add ssrnet      # or --from a folder
    python -m benchmarks.goals [--keras FOLDER] [--rounds 40]

Ratios are medians of ratios taken in turn (benchmarks.peers); the daemon is a process of its own, on the demo at the
default 1280x960 and 15 frames a second, with a Mosquitto where there is one. Exit code 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import psutil

from benchmarks import networks, peers
from benchmarks.networks import PUBLISHED_PAIR
from edge_agender.commands.benchmark.measure import LIVE_FACES, live_cpu_share, scenario
from edge_agender.common.output import run_script
from edge_agender.config.load import load
from proofs.soak import free_port

SETTLE_S = 20.0
SAMPLES = 15


@dataclass(frozen=True)
class Goal:
    name: str
    unit: str
    goal: float
    measured: float | None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal


def against_others(keras: Path | None, rounds: int) -> Iterator[Goal]:
    taken = peers.compare(peers.rows(keras), peers.frames(4, 30), rounds)
    ours = taken[peers.OURS]
    for row, goal in (("demos' way", 30), ("made fast", 5)):
        ratios = [theirs / mine for theirs, mine in zip(taken.get(row, []), ours, strict=False)]
        yield Goal(f"4 faces, against {row}", "times", goal, statistics.median(ratios) if ratios else None, True)
    (frame,) = peers.frames(4, 1)
    res10, pair = networks.detectors(frame, rounds).get("res10"), networks.estimators(5 * rounds).get(PUBLISHED_PAIR)
    yield Goal("face-ssd against res10", "times", 8, None if res10 is None else res10.times_ours, True)
    said = None if pair is None else pair.times_ours
    yield Goal("a face's estimate against the published pair", "times", 3, said, True)


def of_the_pipeline() -> Iterator[Goal]:
    config = load(None, ["source.kind=demo"])
    yield Goal(f"{LIVE_FACES} people, 15 Hz, gating on", "% of a core", 12, 100 * live_cpu_share(config, LIVE_FACES))
    one, four, sixteen = (scenario(config, count) for count in (1, 4, 16))
    for each in (one, four):
        yield Goal(f"our own code's share of a frame, {each.faces} faces", "%", 15, 100 * each.own_share)
    yield Goal("16 faces against 1, gating on", "times", 2, sixteen.gated_frame.median_ms / one.gated_frame.median_ms)


def of_the_daemon() -> Iterator[Goal]:
    with _daemon() as (process, first_message_s):
        time.sleep(SETTLE_S)
        seen = psutil.Process(process.pid)
        resident = []
        for _ in range(SAMPLES):
            time.sleep(1)
            resident.append(seen.memory_info().rss / 1e6)
    yield Goal("resident memory, whole daemon", "MB", 110, statistics.median(resident))
    yield Goal("start to first frame message", "s", 1.2, first_message_s)


@contextmanager
def _daemon() -> Iterator[tuple[subprocess.Popen[str], float]]:
    """Start the daemon and wait for its first frame message on stdout or at a broker."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        broker = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        ear = None
        words = ["--sink", "stdout"]
        if broker and shutil.which("mosquitto_sub"):
            port = free_port()
            stack.enter_context(_running([broker, "-p", str(port)], stdout=subprocess.DEVNULL))
            time.sleep(1)
            ear = stack.enter_context(
                _running(["mosquitto_sub", "-p", str(port), "-t", "+/+/frame"], stdout=subprocess.PIPE)
            )
            words = ["--set", f"mqtt.port={port}", "--set", "mqtt.host=127.0.0.1"]
        program = [sys.executable, "-m", "edge_agender", "run", "--source", "demo", "--set", f"outbox.path={folder}"]
        began = time.monotonic()
        process = stack.enter_context(_running([*program, *words], stdout=None if ear else subprocess.PIPE))
        lines = (ear or process).stdout
        assert lines is not None
        if not any(ear or "/frame " in line for line in lines):
            raise SystemExit("the daemon ended before its first frame message: run edge-agender doctor")
        first_message_s = time.monotonic() - began
        # Somebody must go on reading: a full pipe would stop the daemon while it is looked at.
        threading.Thread(target=lines.read, daemon=True).start()
        yield process, first_message_s


@contextmanager
def _running(words: list[str], stdout: int | None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(words, stdout=stdout, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--keras", type=Path, help="folder with the published ssrnet_*.h5")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    missed = 0
    for goals in (against_others(options.keras, options.rounds), of_the_pipeline(), of_the_daemon()):
        for goal in goals:
            value = "not measured" if goal.measured is None else f"{goal.measured:.3g} {goal.unit}"
            verdict = {True: "met", False: "MISSED", None: "?"}[goal.met]
            limit = f"{'at least' if goal.at_least else 'at most'} {goal.goal:g}"
            print(f"{goal.name:48}{value:>20}{limit:>16}   {verdict}", flush=True)
            missed += goal.met is False
    return 1 if missed else 0


if __name__ == "__main__":
    run_script(main)
