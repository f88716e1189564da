"""A cable between two network namespaces: real packets are lost, and real routes are missing."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.rig import Ledger, Sender, finish, pause
from tests.support.broker import Broker, Ear, needs_mosquitto, running, wait_until

pytestmark = [
    needs_mosquitto,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces of its own"),
]
NAMESPACE, CABLE = "eatest", "eatesth"
HERE, THERE = "10.253.77.1", "10.253.77.2"
INSIDE = ("ip", "netns", "exec", NAMESPACE)


def command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def cable() -> Iterator[str]:
    """A namespace that reaches this one through a cable; the name of the cable's end here."""
    if shutil.which("ip") is None:
        pytest.skip("no iproute2 is installed here")
    commands: Sequence[tuple[str, ...]] = [
        ("ip", "netns", "add", NAMESPACE),
        ("ip", "link", "add", CABLE, "type", "veth", "peer", "name", "eatestn", "netns", NAMESPACE),
        ("ip", "address", "add", f"{HERE}/30", "dev", CABLE),
        ("ip", "link", "set", CABLE, "up"),
        (*INSIDE, "ip", "address", "add", f"{THERE}/30", "dev", "eatestn"),
        (*INSIDE, "ip", "link", "set", "eatestn", "up"),
        (*INSIDE, "ip", "link", "set", "lo", "up"),
    ]
    try:
        for words in commands:
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no network namespace here: {done.stderr.strip()}")
        yield CABLE
    finally:
        subprocess.run(("ip", "link", "delete", CABLE), capture_output=True)
        subprocess.run(("ip", "netns", "delete", NAMESPACE), capture_output=True)


@pytest.fixture
def broker(tmp_path: Path, cable: str) -> Iterator[Broker]:
    one = Broker(tmp_path / "broker")
    one.lines += [f"listener {one.port} {HERE}", "allow_anonymous true"]
    with running(one):
        yield one


def sender_there(ledger: Ledger, broker: Broker, folder: Path, **options: Any) -> Sender:
    return Sender(ledger, "b", broker.port, folder / "state", INSIDE, mqtt={"host": HERE}, **options)


def test_packets_are_dropped(broker: Broker, cable: str, tmp_path: Path) -> None:
    """The cable loses contact for 20 to 400 ms, again and again."""
    numbers, ledger = random.Random(5), Ledger()
    with Ear(broker.port) as ear, sender_there(ledger, broker, tmp_path, count=1500) as sender:
        sender.wait_puts(20)
        for _ in range(40):
            command("ip", "link", "set", cable, "down")
            pause(numbers, 0.02, 0.4)
            command("ip", "link", "set", cable, "up")
            pause(numbers, 0.02, 0.6)
        finish("packets dropped: 40 gaps of 20 to 400 ms", ledger, ear, sender)


def test_packets_are_lost_at_random(broker: Broker, cable: str, tmp_path: Path) -> None:
    """One packet in five is lost in each direction, and the others come late and out of order."""
    ledger, bad = Ledger(), ("netem", "loss", "20%", "delay", "30ms", "20ms")
    for before, end in (((), cable), (INSIDE, "eatestn")):
        done = subprocess.run((*before, "tc", "qdisc", "add", "dev", end, "root", *bad), capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this kernel has no netem: {done.stderr.strip()}")
    with Ear(broker.port) as ear, sender_there(ledger, broker, tmp_path, count=500) as sender:
        finish("one packet in five lost", ledger, ear, sender)


def test_broker_is_out_of_reach(broker: Broker, cable: str, tmp_path: Path) -> None:
    """No route leads to the broker any more, in the middle of it all; then there is one again."""
    ledger = Ledger()
    with Ear(broker.port) as ear, sender_there(ledger, broker, tmp_path, count=1500) as sender:
        sender.wait_puts(50)
        command(*INSIDE, "ip", "route", "add", "unreachable", f"{HERE}/32")
        wait_until(lambda: "No route to host" in (tmp_path / "b.log").read_text(), what="it is noticed")
        puts = sender.puts
        sender.wait_puts(puts + 100)
        command(*INSIDE, "ip", "route", "delete", "unreachable", f"{HERE}/32")
        finish("no route to the broker, then one again", ledger, ear, sender)


def test_cable_is_unplugged(broker: Broker, cable: str, tmp_path: Path) -> None:
    """For longer than the sender's patience (twice its keepalive of 5 s) nothing at all arrives."""
    ledger = Ledger()
    with Ear(broker.port) as ear, sender_there(ledger, broker, tmp_path, count=2500) as sender:
        sender.wait_puts(50)
        command("ip", "link", "set", cable, "down")
        time.sleep(15)
        command("ip", "link", "set", cable, "up")
        finish("cable unplugged for 15 s", ledger, ear, sender)
