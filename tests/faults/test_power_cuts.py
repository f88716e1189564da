"""The plug is pulled between any two writes of a real run: what an fsync covered is there, in order, undamaged."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agender.config.settings import OutboxConfig
from edge_agender.delivery.outbox.outbox import Outbox
from tests.faults.card import SYSTEM_CALLS, Call, Card, read_log
from tests.faults.rig import say

pytestmark = pytest.mark.usefixtures("patient")
CUTS = int(os.environ.get("FAULT_CUTS", "2000"))
RECORDED = 150


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Call]:
    if shutil.which("strace") is None:
        pytest.skip("no strace is installed here: it records the writes")
    folder = tmp_path_factory.mktemp("recorded")
    state, log = folder / "state", folder / "log"
    state.mkdir()
    tracer = ["strace", "-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={SYSTEM_CALLS}", "-o", str(log)]
    script = Path(__file__).with_name("power.py")
    done = subprocess.run([*tracer, sys.executable, str(script), str(state), str(RECORDED)], capture_output=True)
    if b"ptrace" in done.stderr.lower() and done.returncode:
        pytest.skip(f"strace may not trace here: {done.stderr.decode()[-200:]}")
    assert done.returncode == 0, done.stderr.decode()
    return read_log(log, state)


class Run:
    """How far the recorded run was when the power went: what must be there, and what may be."""

    def __init__(self) -> None:
        self.card = Card()
        self.safe, self.done = 0, set[int]()

    def step(self, call: Call) -> None:
        if call.name != "write":
            self.card.apply(call)
            return
        mark = json.loads(call.data)
        self.safe = max(self.safe, mark.get("safe", 0))
        self.done |= {mark["done"]} if "done" in mark else set()


def recover(files: dict[str, bytes], folder: Path) -> tuple[list[int], str | None, int]:
    """Start the outbox on what the card came back with; return what it sends, its alarm and its drops."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in files.items():
        (folder / Path(path).name).write_bytes(content)
    with Outbox(OutboxConfig(path=folder, replay_rate_hz=1e6)) as outbox:
        sent = []
        while outbox.state().durable:
            if (taken := outbox.take()) is not None:
                sent.append(json.loads(taken[1].payload)["sequence"])
                outbox.acknowledge(taken[0])
        state = outbox.state()
    return sent, state.alarm, sum(state.dropped.values())


def cut_often(calls: Sequence[Call], cuts: int, folder: Path) -> None:
    numbers = random.Random(cuts)
    when = sorted(numbers.randrange(len(calls)) for _ in range(cuts))
    run, position = Run(), 0
    expected = resent = 0
    for index in when:
        for call in calls[position : index + 1]:
            run.step(call)
        position = max(position, index + 1)
        sent, alarm, dropped = recover(run.card.after_power_cut(numbers), folder)
        must = set(range(1, run.safe + 1)) - run.done
        assert must <= set(sent), f"cut after call {index}: lost {sorted(must - set(sent))[:5]}"
        assert sent == sorted(set(sent)), f"cut after call {index}: out of order or twice"
        assert (alarm, dropped) == (None, 0), f"cut after call {index}"
        expected += len(must)
        resent += len(set(sent) & run.done)
    result = {"expected": expected, "delivered": expected, "duplicated": resent, "lost": 0}
    assert expected > cuts * RECORDED / 10, "the recorded run was flushed too seldom to show anything"
    say({"fault": f"power cut, {cuts} times in {len(calls)} system calls", **result})


def test_some_power_cuts(calls: Sequence[Call], tmp_path: Path) -> None:
    cut_often(calls, 25, tmp_path / "state")


@pytest.mark.slow
def test_many_power_cuts(calls: Sequence[Call], tmp_path: Path) -> None:
    cut_often(calls, CUTS, tmp_path / "state")


def test_card_forgets_what_no_fsync_covered() -> None:
    """The card itself must be able to lose."""
    card = Card()
    card.apply(Call("create", "/c/a"))
    card.apply(Call("pwrite64", "/c/a", b"1" * 1024, 0))
    card.apply(Call("sync", "/c/a"))
    card.apply(Call("pwrite64", "/c/a", b"2" * 1024, 0))
    outcomes = {card.after_power_cut(random.Random(seed))["/c/a"] for seed in range(100)}
    assert outcomes == {b"1" * 1024, b"2" * 512 + b"1" * 512, b"2" * 1024}
