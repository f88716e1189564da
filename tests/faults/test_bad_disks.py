"""Full, damaged and vanished disks under a running sender, and clocks that jump: counting and sending go on."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rig import BadNetwork, Ledger, Sender, say
from tests.support.broker import Broker, Ear, needs_mosquitto, running, wait_until

pytestmark = needs_mosquitto
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder), capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(("umount", "-l", folder), check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return path


@needs_root
@pytest.mark.parametrize("broker_comes_back_first", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_disk_is_full(tmp_path: Path, small_disk: Path, broker_comes_back_first: bool) -> None:
    ledger, state = Ledger(), small_disk / "state"
    with running(Broker(tmp_path / "broker")) as broker, Ear(broker.port) as ear, BadNetwork(broker.port) as network:
        network.gone.set()
        with Sender(ledger, "b", network.port, state, count=450, interval_s=0.003) as sender:
            sender.wait_puts(150)
            filler = fill(small_disk)
            sender.wait_puts(450)
            wait_until(lambda: sender.state is not None and "full" in str(sender.state[2]))
            if broker_comes_back_first:
                network.gone.clear()
                wait_until(lambda: not ledger.lost(ear), what="the ear")
                filler.unlink()
            else:
                filler.unlink()
                wait_until(lambda: sender.state is not None and sender.state[2] is None)
                sender.end(signal.SIGKILL)
                network.gone.clear()
        if not broker_comes_back_first:
            with Sender(ledger, "c", network.port, state, count=1) as sender:
                sender.wait_empty()
        wait_until(lambda: not ledger.lost(ear), what="the ear")
        ledger.report(f"disk full, {'broker' if broker_comes_back_first else 'space'} comes back first", ear)


@pytest.mark.slow
def test_store_is_overwritten_while_it_is_used(tmp_path: Path) -> None:
    ledger, state = Ledger(), tmp_path / "state"
    with running(Broker(tmp_path / "broker")) as broker, Ear(broker.port) as ear, BadNetwork(broker.port) as network:
        network.gone.set()
        with Sender(ledger, "b", network.port, state, count=3000, interval_s=0.0005) as sender:
            sender.wait_puts(3000)
            damage(state / "outbox.sqlite3")
            damage(state / "outbox.sqlite3-wal")
            network.gone.clear()
            wait_until(lambda: sender.state is not None and "set aside" in str(sender.state[2]))
            sender.wait_empty()
            arrived = len(ledger.expected) - len(ledger.lost(ear))
            assert sender.state is not None
            assert sender.state[1] == 3000 - arrived, "what is lost is counted"
        say({"fault": "store overwritten in use", "expected": 3000, "delivered": arrived, "lost": 3000 - arrived})
    assert arrived >= 256, "what was held in memory is not lost with the disk"
    assert (state / "outbox.sqlite3.damaged-1").exists()


def damage(path: Path) -> None:
    """Write nonsense over all of a file, as a dying card does, without changing its size."""
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)


@pytest.mark.slow
@pytest.mark.parametrize("boot", ["no clock at boot", "good clock at boot"])
def test_clock_jumps(tmp_path: Path, boot: str) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed here: the clock is moved by a preloaded library")
    library, clock, ledger = tmp_path / "clock.so", tmp_path / "offset", Ledger()
    source = Path(__file__).with_name("clock.c")
    subprocess.run((compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"), check=True)

    def jump(offset_s: float) -> None:
        clock.with_suffix(".new").write_text(f"{offset_s:.0f}")
        clock.with_suffix(".new").rename(clock)

    jump(-time.time() if boot.startswith("no") else 0)
    before = ("env", f"LD_PRELOAD={library}", f"CLOCK_OFFSET={clock}")
    outbox = {"max_age_h": 1.0}
    with running(Broker(tmp_path / "broker")) as broker, Ear(broker.port) as ear, BadNetwork(broker.port) as network:
        network.gone.set()
        with Sender(ledger, "b", network.port, tmp_path / "state", before, outbox=outbox, count=250) as sender:
            for puts, offset_s in ((50, 0), (100, 7200), (150, -7200), (200, 50 * 3600)):
                sender.wait_puts(puts)
                jump(offset_s)
            sender.wait_puts(250)
            sender.end(signal.SIGKILL)
        network.gone.clear()
        with Sender(ledger, "c", network.port, tmp_path / "state", before, outbox=outbox, count=1) as sender:
            sender.wait_empty()
            assert sender.state is not None
            assert sender.state[1:] == (0, None)
        wait_until(lambda: not ledger.lost(ear), what="the ear")
        ledger.report(f"clock jumps by 2 and 50 hours, {boot}", ear)
