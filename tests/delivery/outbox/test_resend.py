"""What was acknowledged is kept for who asks for it again, within its days and bytes, and never sent unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agender.delivery.inbox import RESEND_EVERY_S, Resends
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.messages.inbound import Resend, parse_resend
from tests.support.broker import wait_until
from tests.support.outbox_tools import Clock, drain, numbers, options, take_all, window

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


class Ticking(Clock):
    """Goes on a little with every look: messages that are sent late go out at a rate."""

    def __call__(self) -> float:
        self.now_s += 1e-4
        return self.now_s


def sent(outbox: Outbox, count: int) -> None:
    for number in range(count):
        outbox.put(window(number))
    drain(outbox, count)


def test_what_is_asked_for_is_sent_again_marked_as_late_and_can_be_asked_for_again(folder: Path) -> None:
    clock = Ticking()
    with Outbox(options(folder), clock) as outbox:
        sent(outbox, 10)
        clock.now_s += 3600
        for _ in range(2):
            wait_until(lambda: outbox.state().durable == 0)
            outbox.send_again(Resend("window", "b", 3, 5))
            messages = drain(outbox, 3)
            assert numbers(messages) == [3, 4, 5]
            assert all(json.loads(message.payload)["historical"] for message in messages)
        assert take_all(outbox) == []


def test_what_was_sent_survives_a_restart_and_does_not_go_out_by_itself(folder: Path) -> None:
    with Outbox(options(folder)) as outbox:
        sent(outbox, 3)
    with Outbox(options(folder)) as outbox:
        assert outbox.state().durable == 0
        assert take_all(outbox) == []
        outbox.send_again(Resend("window", "b", 0, 99))
        outbox.put(window(3))
        assert sorted(numbers(drain(outbox, 4))) == [0, 1, 2, 3]


def test_what_the_broker_will_never_take_is_not_kept(folder: Path) -> None:
    with Outbox(options(folder)) as outbox:
        outbox.put(window(0))
        [(entry, _)] = take_all(outbox)
        outbox.reject(entry)
        outbox.send_again(Resend("window", "b", 0, 0))
        outbox.put(window(1))
        assert numbers(drain(outbox, 1)) == [1]


@pytest.mark.parametrize("limit", [{"keep_sent_days": 0}, {"keep_sent_mb": 0}])
def test_nothing_is_kept_where_nothing_may_be(folder: Path, limit: dict[str, float]) -> None:
    with Outbox(options(folder, **limit)) as outbox:
        sent(outbox, 3)
    with Outbox(options(folder, **limit)) as outbox:
        outbox.send_again(Resend("window", "b", 0, 9))
        outbox.put(window(3))
        assert numbers(drain(outbox, 1)) == [3]


def test_the_oldest_go_first_when_their_days_are_over(folder: Path) -> None:
    clock = Ticking()
    with Outbox(options(folder, keep_sent_days=2), clock) as outbox:
        sent(outbox, 2)
        clock.now_s += 86400
        outbox.put(window(2))
        drain(outbox, 1)
        clock.now_s += 1.5 * 86400
        outbox.put(window(3))
        drain(outbox, 1)
    with Outbox(options(folder, keep_sent_days=2), clock) as outbox:
        outbox.send_again(Resend("window", "b", 0, 9))
        assert numbers(drain(outbox, 2)) == [2, 3]


def test_the_last_number_of_each_kind_is_known(folder: Path) -> None:
    with Outbox(options(folder)) as outbox:
        sent(outbox, 4)
        assert outbox.state().last == {("b", "window"): 3}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"kind": "window", "boot_id": "b", "from": 3, "to": 2}',
        b'{"kind": "window", "boot_id": 7, "from": 0, "to": 2}',
        b'{"kind": "w", "boot_id": "b", "from": true, "to": 2}',
        b'{"kind": "w", "boot_id": "b", "from": 0, "to": 1e400}',
        b'{"kind": "w", "boot_id": "b", "from": -1, "to": 2}',
    ],
)
def test_a_command_that_makes_no_sense_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"resend|command"):
        parse_resend(payload)


def test_commands_come_through_one_at_a_time() -> None:
    clock, wanted = Clock(), list[Resend]()
    resends = Resends(wanted.append, clock)
    command = b'{"kind": "window", "boot_id": "b", "from": 1, "to": 2}'
    for _ in range(3):
        resends.take("p/d/resend", command)
    assert wanted == [Resend("window", "b", 1, 2)]
    clock.now_s += RESEND_EVERY_S
    resends.take("p/d/resend", b"nonsense")
    resends.take("p/d/resend", command)
    assert len(wanted) == 1
    clock.now_s += RESEND_EVERY_S
    resends.take("p/d/resend", command)
    assert len(wanted) == 2
