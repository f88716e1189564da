"""kill -9 at random moments: what `put` returned for is delivered, in order."""

import os
import random
import signal
from pathlib import Path

import pytest

from tests.faults.rig import BadNetwork, Ledger, Sender, pause
from tests.support.broker import Broker, Ear, needs_mosquitto, running, wait_until

pytestmark = needs_mosquitto
KILLS = int(os.environ.get("FAULT_KILLS", "20"))


def kill_often(tmp_path: Path, kills: int, seed: int) -> None:
    numbers, ledger = random.Random(seed), Ledger()
    state = tmp_path / "state"
    with running(Broker(tmp_path / "broker")) as broker, Ear(broker.port) as ear, BadNetwork(broker.port) as network:
        for run in range(kills):
            # Half of the lives never reach the broker, so that the store carries messages over several deaths.
            (network.gone.set if numbers.random() < 0.5 else network.gone.clear)()
            sender = Sender(ledger, f"b{run}", network.port, state, interval_s=numbers.choice((0.001, 0.005, 0.02)))
            sender.wait_puts(1)
            pause(numbers, 0.0, 0.6)
            sender.end(signal.SIGKILL)
        network.gone.clear()
        with Sender(ledger, "last", network.port, state, count=1) as sender:
            sender.wait_empty()
            assert sender.state is not None
            assert sender.state[1:] == (0, None)
        wait_until(lambda: not ledger.lost(ear), what="the ear")
        ledger.report(f"kill -9, {kills} times", ear, seed=seed)


def test_two_kills(tmp_path: Path) -> None:
    kill_often(tmp_path, 2, seed=2)


@pytest.mark.slow
def test_many_kills(tmp_path: Path) -> None:
    kill_often(tmp_path, KILLS, seed=KILLS)


@pytest.mark.slow
def test_killed_publisher_is_offline(tmp_path: Path) -> None:
    with running(Broker(tmp_path / "broker")) as broker, Ear(broker.port) as ear:
        sender = Sender(Ledger(), "b", broker.port, tmp_path / "state")
        wait_until(lambda: ear.payloads("p/d/status") == [{"state": "online"}])
        sender.end(signal.SIGKILL)
        wait_until(lambda: ear.payloads("p/d/status") == [{"state": "online"}, {"state": "offline"}])
        with Sender(Ledger(), "c", broker.port, tmp_path / "state"):
            wait_until(lambda: ear.payloads("p/d/status")[2:] == [{"state": "online"}])
        wait_until(lambda: ear.payloads("p/d/status")[3:] == [{"state": "stopped"}])
