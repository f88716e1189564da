"""Many simulated devices in one process: each with the real outbox and publisher, and nodes in an order of its own."""

from __future__ import annotations

import argparse
import json
import logging
import random
import secrets
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge_agender.common.output import run_script
from edge_agender.common.signals import StopSignal
from edge_agender.config.settings import MqttConfig, OutboxConfig
from edge_agender.delivery.inbox import Resends
from edge_agender.delivery.mqtt.publisher import Publisher
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.messages.build import utc_text
from edge_agender.messages.message import Message
from proofs.fleet.box import Journal, health_fields, status_fields
from proofs.fleet.people import PLACES, Audience

DRAIN_S = 180.0
HEALTH_EVERY = 20
VERSIONS = {"software": "0.1.0", "detector": "ssd", "estimator": "agender-ssrnet", "configuration": "simulated"}


class Member:
    """One device: windows of a minute each, numbered."""

    def __init__(self, name: str, options: argparse.Namespace, journal: Journal) -> None:
        self.name, self._journal, self._prefix = name, journal, options.prefix
        self._boot_id = secrets.token_hex(8)
        self._audience = Audience(PLACES[hash(name) % len(PLACES)], 1)
        self._start_s = int(time.time()) // 3600 * 3600 - 86400
        self._number = 0
        hosts = [f"127.0.0.1:{port}" for port in options.ports]
        # Each begins at another node, so that one that hangs does not hold up all.
        random.Random(name).shuffle(hosts)
        where: dict[str, Any] = {"hosts": hosts} if len(hosts) > 1 else {"host": hosts[0]}
        login = {"username": options.user, "password_file": options.password_file} if options.user else {}
        mqtt = MqttConfig(**where, **login, protocol=options.protocol, reconnect_max_s=2.0, ack_timeout_s=10)
        self.outbox = Outbox(OutboxConfig(path=options.folder / name, replay_rate_hz=500))
        self.publisher = Publisher(mqtt, name, self.outbox, self._status)
        self.publisher.subscribe(f"{options.prefix}/{name}/resend", Resends(self.outbox.send_again).take)

    def step(self) -> None:
        number, self._number = self._number, self._number + 1
        start_s = self._start_s + 60 * number
        fields = self._audience.window(start_s, 60)
        times = {"start": utc_text(start_s), "length_s": 60, "historical": False, "number": number}
        head = self._head("window") | {"sequence": number}
        key = {"device": self.name, "kind": "window", "boot_id": self._boot_id, "sequence": number}
        self._journal.write(step="about", **key, start_s=start_s, viewers=fields["viewers"])
        self.outbox.put(self._message("window", head | times | fields | {"versions": VERSIONS}, durable=True))
        self._journal.write(step="put", **key)
        if number % HEALTH_EVERY == HEALTH_EVERY - 1:
            self.say_last()

    def say_last(self) -> None:
        """Health, as far as it concerns the collector: the last number."""
        self.outbox.put(self._message("health", self._head("health") | health_fields({"window": self._number - 1})))

    def _status(self, state: str) -> Message:
        return self._message("status", self._head("status") | status_fields(state), retain=True)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"schema": f"edge-agender.{kind}", "version": 1, "device": self.name, "boot_id": self._boot_id}

    def _message(self, kind: str, payload: dict[str, Any], retain: bool = False, durable: bool = False) -> Message:
        topic = f"{self._prefix}/{self.name}/{kind}"
        return Message(kind, topic, json.dumps(payload).encode(), 1 if durable or retain else 0, retain, durable)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ports", type=int, nargs="+", required=True)
    parser.add_argument("--prefix", default="edge-agender")
    parser.add_argument("--protocol", default="3.1.1")
    parser.add_argument("--user")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two windows of one device")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a hundred devices that lose their broker say a lot
    stop = StopSignal()
    options.folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.folder / "journal")
    members = [Member(f"box-{number:03d}", options, journal) for number in range(options.count)]
    with ExitStack() as stack:
        for member in members:
            stack.enter_context(member.outbox)
            stack.enter_context(member.publisher)
        print("ready", flush=True)
        while not stop.is_set():
            for member in members:
                member.step()
                stop.wait(options.every / options.count)
        until_s = time.monotonic() + DRAIN_S
        while any(member.outbox.state().durable for member in members) and time.monotonic() < until_s:
            time.sleep(0.1)
        left = sum(member.outbox.state().durable for member in members)
        print(f"left {left}", flush=True)
        # The collector may ask for what a broker lost: until whoever runs this is content.
        for line in sys.stdin:
            if line.strip() == "last":
                for member in members:
                    member.say_last()
    return int(left > 0)


if __name__ == "__main__":
    run_script(main)
