"""One simulated device: the real outbox and publisher, with simulated people before it. A process of its own.

It writes down what it is about to send before the outbox has it, and that the outbox has it: the two lists are what
the collector is held against. Killed and started again, it goes on where it was, as another boot.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge_agender.common.signals import StopSignal
from edge_agender.config.settings import MqttConfig, OutboxConfig
from edge_agender.delivery.inbox import Resends
from edge_agender.delivery.mqtt.publisher import Publisher
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.messages.build import utc_text
from edge_agender.messages.message import Message
from proofs.fleet.people import HOUR_S, PLACES, Audience

DRAIN_S = 60.0
HEALTH_S = 5.0


class Journal:
    """One line a step, in the kernel's hands before it goes on: a killed process loses none."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, **fields: Any) -> None:
        os.write(self._file, (json.dumps(fields) + "\n").encode())


class Box:
    def __init__(self, options: argparse.Namespace, outbox: Outbox) -> None:
        self._options, self._outbox = options, outbox
        self._boot_id = secrets.token_hex(8)
        self._sequences: Counter[str] = Counter()
        self._journal = Journal(options.folder / "journal")
        self._state = options.folder / "state.json"
        self._audience = Audience(next(place for place in PLACES if place.name == options.place), options.seed)
        saved = json.loads(self._state.read_text()) if self._state.exists() else {}
        self.next_s: int = saved.get("next_s", options.start + options.clock_off)
        self._numbers = Counter(saved.get("numbers", {}))

    @property
    def last(self) -> dict[str, int]:
        return {kind: sequence - 1 for kind, sequence in self._sequences.items()}

    def status(self, state: str) -> Message:
        return self._message("status", status_fields(state), retain=True)

    def health(self) -> Message:
        fields = health_fields(self.last, self._options.clock_off)
        fields.pop("sequence")
        return self._message("health", self._numbered("health", fields))

    def step(self, length_s: int) -> None:
        """Send the next window, and at each full hour the demographics of the one before."""
        start_s = self.next_s
        fields = self._audience.window(start_s, length_s)
        self._send("window", start_s, fields | {"length_s": length_s}, fields["viewers"])
        self.next_s += length_s
        if self.next_s % HOUR_S == 0:
            table = self._audience.demographics()
            told = sum(cell["viewers"] for cell in table["cells"])
            self._send("demographics", self.next_s - HOUR_S, table | {"length_s": HOUR_S}, told)

    def _send(self, kind: str, start_s: int, fields: dict[str, Any], viewers: int) -> None:
        number = self._numbers[kind]
        self._numbers[kind] += 1
        self._state.with_suffix(".new").write_text(
            json.dumps({"next_s": start_s + fields["length_s"], "numbers": self._numbers})
        )
        self._state.with_suffix(".new").rename(self._state)
        versions = {"software": "0.1.0", "detector": "ssd", "estimator": "agender-ssrnet", "configuration": "simulated"}
        payload = fields | {"historical": False, "number": number, "start": utc_text(start_s), "versions": versions}
        message = self._message(kind, self._numbered(kind, payload), durable=True)
        key = {"kind": kind, "boot_id": self._boot_id, "sequence": self._sequences[kind] - 1}
        self._journal.write(step="about", **key, start_s=start_s, viewers=viewers)
        self._outbox.put(message)
        self._journal.write(step="put", **key)

    def _numbered(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._sequences[kind] += 1
        return {"sequence": self._sequences[kind] - 1, **fields}

    def _message(self, kind: str, fields: dict[str, Any], retain: bool = False, durable: bool = False) -> Message:
        device = self._options.name
        head = {"schema": f"edge-agender.{kind}", "version": 1, "device": device, "boot_id": self._boot_id}
        topic = f"{self._options.prefix}/{device}/{kind}"
        return Message(kind, topic, json.dumps(head | fields).encode(), 1 if durable or retain else 0, retain, durable)


_HEALTH_COUNTS = (
    "frames", "dropped_frames", "detections", "detections_saved", "estimates", "estimates_saved", "camera_restarts",
    "broker_connects", "outbox_waiting", "outbox_dropped",
)  # fmt: skip
_HEALTH_UNKNOWN = (
    "latency_p50_ms", "latency_p95_ms", "cpu_percent", "memory_mb", "temperature_c", "throttled", "clock_synchronised",
)  # fmt: skip


def status_fields(state: str) -> dict[str, Any]:
    return {"state": state, "source": "ok" if state == "online" else None, "software": "0.1.0"}


def health_fields(last: dict[str, int], clock_off_s: int = 0) -> dict[str, Any]:
    """What a device that does nothing but send says of itself: the last number of each kind."""
    fields: dict[str, Any] = dict.fromkeys(_HEALTH_COUNTS, 0)
    fields |= dict.fromkeys(_HEALTH_UNKNOWN)
    times = {"sent": utc_text(time.time() + clock_off_s), "uptime_s": 0.0, "fps": 15.0}
    return fields | times | {"sequence": 0, "source": "ok", "alarms": [], "sequences": last}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--place", default="lobby")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prefix", default="edge-agender")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--protocol", default="5")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, required=True, help="start of the first window, seconds since the epoch")
    parser.add_argument("--until", type=int, default=0, help="windows of --past-length up to here are sent at once")
    parser.add_argument("--past-length", type=int, default=300)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between windows after that; 0: none")
    parser.add_argument("--clock-off", type=int, default=0, help="seconds by which its clock is wrong")
    parser.add_argument("--offline", type=float, default=0.0, help="seconds without a network at first")
    return parser.parse_args()


def run(options: argparse.Namespace) -> int:
    stop = StopSignal()
    mqtt = MqttConfig(
        host=options.host,
        port=options.port,
        protocol=options.protocol,
        prefix=options.prefix,
        username=options.name if options.password_file else None,
        password_file=options.password_file,
        reconnect_max_s=2.0,
    )
    outbox_config = OutboxConfig(path=options.folder, replay_rate_hz=500, memory_messages=100_000)
    with ExitStack() as stack:
        outbox = stack.enter_context(Outbox(outbox_config))
        box = Box(options, outbox)
        publisher = Publisher(mqtt, options.name, outbox, box.status)
        resends = Resends(outbox.send_again)
        publisher.subscribe(f"{options.prefix}/{options.name}/resend", resends.take)
        online_s = time.monotonic() + options.offline
        entered = False
        health_s = 0.0
        while not stop.is_set():
            if not entered and time.monotonic() >= online_s:
                stack.enter_context(publisher)
                entered = True
            if box.next_s < options.until + options.clock_off:
                box.step(options.past_length)
                continue
            if entered and time.monotonic() >= health_s:
                health_s = time.monotonic() + HEALTH_S
                outbox.put(box.health())
            if not options.every:
                stop.wait(0.2)
                continue
            box.step(60)
            stop.wait(options.every)
        return _drain(outbox, stack, publisher, entered)


def _drain(outbox: Outbox, stack: ExitStack, publisher: Publisher, entered: bool) -> int:
    """Return 0 once the broker has everything; 1 where something is still on the disk."""
    if not entered:
        stack.enter_context(publisher)
    until_s = time.monotonic() + DRAIN_S
    while outbox.state().durable and time.monotonic() < until_s:
        time.sleep(0.05)
    return int(outbox.state().durable > 0)


if __name__ == "__main__":
    sys.exit(run(parse()))
