"""What is learned from a broker's refusals, and what is not."""

from __future__ import annotations

from edge_agender.delivery.mqtt.limits import Limits
from tests.support.outbox_tools import window


def test_a_broker_that_once_took_the_will_is_not_suspected_when_it_closes() -> None:
    """A node of NATS closes while its cluster has no leader: durable messages must not go out at QoS 0 for that."""
    limits = Limits()
    limits.accepted(None, mqtt_5=False)
    for _ in range(4):
        assert not limits.closed_on_will()
    assert limits.qos_of(window(0)) == 1
    assert limits.retain


def test_a_broker_that_never_took_it_is_asked_for_less() -> None:
    limits = Limits()
    assert limits.closed_on_will()
    assert not limits.retain
