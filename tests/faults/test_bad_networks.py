"""Brokers and networks as shops have them: killed, frozen, refusing, slow, cut, deaf, expired, without names."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.rig import BadNetwork, Ledger, Sender, finish, pause
from tests.support.broker import Authority, Broker, Ear, free_port, needs_mosquitto, running, wait_until

pytestmark = needs_mosquitto
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces of its own")


def restart_broker(tmp_path: Path, deaths: int) -> None:
    numbers, ledger = random.Random(deaths), Ledger()
    # Without a limit in flight the broker hands each message to the ear before it acknowledges it to the sender:
    # what a broker loses after its acknowledgement is not ours.
    lines = ["allow_anonymous true", "max_inflight_messages 0"]
    broker = Broker(tmp_path / "broker", lines, remembers=True)
    with (
        running(broker),
        Ear(broker.port) as ear,
        BadNetwork(broker.port) as network,
        Sender(ledger, "b", network.port, tmp_path / "state", count=deaths * 60, interval_s=0.01) as sender,
    ):
        sender.wait_puts(1)
        for death in range(deaths):
            pause(numbers, 0.1, 0.4)
            network.gone.set()
            broker.stop(signal.SIGKILL if death % 2 else signal.SIGTERM)
            pause(numbers, 0.0, 0.3)
            broker.start()
            ear.wait_back()
            network.gone.clear()
        finish(f"broker killed and restarted, {deaths} times", ledger, ear, sender)


@pytest.mark.slow
def test_broker_dies_twice(tmp_path: Path) -> None:
    restart_broker(tmp_path, 2)


@pytest.mark.slow
def test_broker_dies_often(tmp_path: Path) -> None:
    restart_broker(tmp_path, 20)


@pytest.mark.slow
@pytest.mark.parametrize("frozen_s", [1, 20])
def test_broker_freezes(tmp_path: Path, frozen_s: float) -> None:
    """The longer one is longer than the sender's patience (twice its keepalive of 5 s)."""
    ledger = Ledger()
    with (
        running(Broker(tmp_path / "broker")) as broker,
        Ear(broker.port) as ear,
        Sender(ledger, "b", broker.port, tmp_path / "state", count=100 + 100 * frozen_s) as sender,
    ):
        sender.wait_puts(50)
        broker.freeze()
        time.sleep(frozen_s)
        if frozen_s > 10:
            wait_until(lambda: "no answer: check the broker" in log(tmp_path))
        broker.thaw()
        finish(f"broker frozen for {frozen_s} s", ledger, ear, sender)


@pytest.mark.parametrize("cuts", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_connection_is_cut(tmp_path: Path, cuts: int) -> None:
    numbers, ledger = random.Random(cuts), Ledger()
    with (
        running(Broker(tmp_path / "broker")) as broker,
        Ear(broker.port) as ear,
        BadNetwork(broker.port) as network,
        Sender(ledger, "b", network.port, tmp_path / "state", count=cuts * 50, interval_s=0.002) as sender,
    ):
        while network.cuts < cuts:
            pause(numbers, 0.0, 0.3)
            network.cut()
        finish(f"connection cut, {cuts} times", ledger, ear, sender)


@pytest.mark.slow
def test_network_is_slow(tmp_path: Path) -> None:
    ledger = Ledger()
    with (
        running(Broker(tmp_path / "broker")) as broker,
        Ear(broker.port) as ear,
        BadNetwork(broker.port, delay_s=0.15, bytes_per_s=20_000) as network,
        Sender(ledger, "b", network.port, tmp_path / "state", count=300, interval_s=0.005) as sender,
    ):
        finish("slow network: 300 ms there and back, 20 kB/s", ledger, ear, sender)


@pytest.mark.slow
def test_network_swallows_everything(tmp_path: Path) -> None:
    """Nothing arrives and nobody is told, as behind a router that forgot the connection."""
    ledger = Ledger()
    with (
        running(Broker(tmp_path / "broker")) as broker,
        Ear(broker.port) as ear,
        BadNetwork(broker.port) as network,
        Sender(ledger, "b", network.port, tmp_path / "state", count=1500) as sender,
    ):
        sender.wait_puts(50)
        network.silent.set()
        time.sleep(12)
        network.silent.clear()
        finish("nothing arrives for 12 s, no connection ends", ledger, ear, sender)


@pytest.mark.slow
def test_wrong_password_is_corrected(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "broker", Ledger()
    broker = Broker(folder, ["allow_anonymous false", f"password_file {folder}/passwords"])
    broker.add_user("device", "new")
    broker.add_user("ear", "e")
    password = tmp_path / "password"
    password.write_text("old")
    mqtt = {"username": "device", "password_file": str(password)}
    with (
        running(broker),
        Ear(broker.port, "#", "ear", "e") as ear,
        Sender(ledger, "b", broker.port, tmp_path / "state", mqtt=mqtt, count=50) as sender,
    ):
        wait_until(lambda: "refuses user device" in log(tmp_path))
        password.write_text("new")
        finish("broker refuses, until the password is corrected", ledger, ear, sender)
    assert log(tmp_path).count("refuses user device") == 1


def log(tmp_path: Path) -> str:
    return (tmp_path / "b.log").read_text()


def test_certificate_expires_and_is_renewed(tmp_path: Path) -> None:
    folder, authority, ledger = tmp_path / "broker", Authority(tmp_path / "ca"), Ledger()
    plain = Broker(folder)
    expired, key = authority.certificate("server", "localhost", days=-1)
    secure_port = free_port()
    plain.lines += [f"listener {secure_port} 127.0.0.1", f"certfile {expired}", f"keyfile {key}"]
    mqtt = {"host": "localhost", "tls": {"ca_file": str(authority.ca)}}
    with (
        running(plain),
        Ear(plain.port) as ear,
        Sender(ledger, "b", secure_port, tmp_path / "state", mqtt=mqtt, count=50) as sender,
    ):
        wait_until(lambda: "its certificate expired: renew it" in log(tmp_path))
        authority.certificate("server", "localhost")
        plain.send(signal.SIGHUP)
        finish("certificate expired, renewed", ledger, ear, sender)


@needs_root
@pytest.mark.slow
def test_names_are_gone_and_come_back(tmp_path: Path) -> None:
    """/etc/hosts and /etc/resolv.conf of the sender are its own: no name server answers, then the name is known."""
    hosts, resolver, ledger = tmp_path / "hosts", tmp_path / "resolv.conf", Ledger()
    hosts.write_text("127.0.0.1 localhost\n")
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    mounts = f"mount --bind {hosts} /etc/hosts && mount --bind {resolver} /etc/resolv.conf"
    before = ("unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh")
    with running(Broker(tmp_path / "broker")) as broker, Ear(broker.port) as ear:
        mqtt = {"host": "broker.shop.example"}
        with Sender(ledger, "b", broker.port, tmp_path / "state", before, mqtt=mqtt, count=50) as sender:
            wait_until(lambda: "unknown host: check mqtt.host and the DNS" in log(tmp_path))
            hosts.write_text("127.0.0.1 localhost broker.shop.example\n")
            finish("DNS gone, then back", ledger, ear, sender)


@pytest.mark.slow
def test_stop_is_quick_whatever_the_network_does(tmp_path: Path) -> None:
    with (
        running(Broker(tmp_path / "broker")) as broker,
        BadNetwork(broker.port) as network,
        Sender(Ledger(), "b", network.port, tmp_path / "state", interval_s=0.05) as sender,
    ):
        sender.wait_puts(20)
        network.silent.set()
        before_s = time.monotonic()
        sender.end()
        # 1.5 s where the machine is free; without the limit it would be until the network speaks again.
        assert time.monotonic() - before_s < 15
        assert sender.process.returncode == 0
