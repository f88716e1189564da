"""Of a camera that sends more than is wanted, the wanted rate is kept, whatever the jitter."""

from __future__ import annotations

import random

import pytest

from edge_agender.capture.sources.reconnect import WantedRate


@pytest.mark.parametrize(("sent_hz", "wanted_hz"), [(30, 15), (25, 10), (15, 15), (10, 15)])
def test_the_wanted_rate_is_kept_whatever_the_jitter(sent_hz: int, wanted_hz: int) -> None:
    rate, jitter = WantedRate(1 / wanted_hz), random.Random(1)
    taken = sum(rate.take(i / sent_hz + jitter.uniform(0, 0.2 / sent_hz)) for i in range(60 * sent_hz))
    assert taken / 60 == pytest.approx(min(sent_hz, wanted_hz), rel=0.05)


def test_after_a_pause_one_is_caught_up_and_no_more() -> None:
    rate = WantedRate(1.0)
    assert rate.take(0.0)
    taken = [i for i in range(20) if rate.take(100.0 + i / 10)]
    assert taken == [0, 1, 8, 18]


def test_asking_takes_nothing() -> None:
    rate = WantedRate(1.0)
    assert rate.take(0.0)
    assert all(rate.wants(0.1) for _ in range(3))
    assert rate.take(0.1)
    assert not rate.wants(0.2)
