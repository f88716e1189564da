"""Topics that the broker refuses: what goes there waits aside, is tried now and then, and is not lost."""

from pathlib import Path

import pytest

from edge_agender.delivery.outbox import parking as parking_module
from edge_agender.delivery.outbox.outbox import Outbox
from tests.support.broker import wait_until
from tests.support.outbox_tools import Clock, drain, numbers, options, stored, take_all, window

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


class TestRefused:
    def test_topic_waits_aside_and_comes_back_in_order(self, folder: Path) -> None:
        clock = Clock()
        with Outbox(options(folder, historical_after_s=1e6), clock) as outbox:
            for number in range(6):
                outbox.put(window(number, topic="p/d/closed" if number % 2 else "p/d/open"))
            for entry, message in take_all(outbox):
                if message.topic == "p/d/closed":
                    outbox.refuse(entry)
                else:
                    outbox.acknowledge(entry)
            outbox.put(window(6, topic="p/d/open"))
            outbox.put(window(7, topic="p/d/closed"))
            assert numbers([message for _, message in take_all(outbox)]) == [6]
            assert outbox.replay_in_s() == 60
            assert "the broker refuses p/d/closed" in str(outbox.state().alarm)
            clock.now_s += 60
            probe = take_all(outbox)
            assert numbers([message for _, message in probe]) == [1]
            outbox.acknowledge(probe[0][0])
            assert numbers([message for _, message in take_all(outbox)]) == [3, 5, 7]
            assert outbox.state().alarm is None

    def test_connection_that_ends_does_not_send_it_again_at_once(self, folder: Path) -> None:
        clock = Clock()
        with Outbox(options(folder, historical_after_s=1e6), clock) as outbox:
            outbox.put(window(1))
            taken = outbox.take()
            assert taken is not None
            outbox.refuse(taken[0])
            outbox.rewind()
            assert outbox.take() is None
            clock.now_s += 60
            assert outbox.take() is not None
            outbox.rewind()
            assert outbox.take() is None, "it is tried once in a while, whatever became of it"

    def test_more_than_fit_in_memory_are_not_lost(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parking_module, "LIMIT", 100)
        count, clock = 400, Clock()
        with Outbox(options(folder, historical_after_s=1e6), clock) as outbox:
            outbox.put(window(0))
            taken = outbox.take()
            assert taken is not None
            outbox.refuse(taken[0])
            for number in range(1, count):
                clock.now_s += 0.001
                outbox.put(window(number))
                assert outbox.take() is None
            assert outbox.state().durable == count
            clock.now_s += 60
            assert sorted(numbers(drain(outbox, count))) == list(range(count))
            assert outbox.state().dropped == {}

    def test_what_is_too_old_is_dropped_there_too(self, folder: Path) -> None:
        clock = Clock()
        with Outbox(options(folder, max_age_h=1), clock) as outbox:
            outbox.put(window(1))
            taken = outbox.take()
            assert taken is not None
            outbox.refuse(taken[0])
            clock.now_s += 4000
            outbox.put(window(2, topic="p/d/open"))
            wait_until(lambda: outbox.state().dropped == {"age": 1})
            assert outbox.state().alarm is None
        assert stored(folder) == [2]
