"""The collector's side of MQTT: which broker it listens at, and what it makes of one that is gone, hangs or refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from edge_agender.config.mqtt import MqttConfig
from edge_agender.errors import BrokerError
from edge_agender.fleet.broker import MqttSource
from edge_agender.fleet.intake import MAX_BYTES, read
from edge_agender.fleet.link import Link
from edge_agender.fleet.records import Arrival, Refused
from edge_agender.fleet.settings import FleetConfig
from tests.fleet.messages import PREFIX
from tests.support.broker import Broker, needs_mosquitto, running, wait_until

pytestmark = needs_mosquitto
TOPIC = f"{PREFIX}/lobby/window"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Broker, Broker]]:
    with ExitStack() as stack:
        yield tuple(  # type: ignore[misc]
            stack.enter_context(running(Broker(tmp_path / name, remembers=True))) for name in ("first", "second")
        )


def source(brokers: Sequence[Broker], **values: object) -> MqttSource:
    hosts = tuple(f"127.0.0.1:{broker.port}" for broker in brokers)
    where = {"hosts": hosts} if len(hosts) > 1 else {"host": hosts[0]}
    settings = {"ack_timeout_s": 1, "reconnect_min_s": 0.05, "reconnect_max_s": 0.2, **where, **values}
    return MqttSource(MqttConfig.model_validate(settings), "collector")


def send(broker: Broker, *payloads: bytes) -> None:
    """Return once the broker has acknowledged them."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "lobby")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for payload in payloads:
        client.publish(TOPIC, payload, qos=1).wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def take(source: MqttSource, count: int) -> list[Arrival]:
    found: list[Arrival] = []

    def enough() -> bool:
        found.extend(source.take(100, 0.05))
        return len(found) >= count

    wait_until(enough, what=f"{count} messages")
    return found


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("ending", ["freeze", "kill"])
def test_a_broker_that_hangs_or_is_gone_is_left_for_the_next(
    pair: tuple[Broker, Broker], ending: str, protocol: str
) -> None:
    first, second = pair
    with source(pair, protocol=protocol) as collector:
        collector.wait(60)
        assert collector.address.endswith(str(first.port))
        getattr(first, ending)()
        wait_until(lambda: collector.connected and collector.address.endswith(str(second.port)), what="the next")
        send(second, b"{}")
        assert [one.payload for one in take(collector, 1)] == [b"{}"]
        # And back, should that one be lost as well.
        first.thaw() if ending == "freeze" else first.start()
        second.kill()
        wait_until(lambda: collector.connected and collector.address.endswith(str(first.port)), what="the former")


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(tmp_path: Path) -> None:
    with running(Broker(tmp_path, remembers=True)) as broker:
        with source([broker]) as collector:
            collector.wait(60)
            send(broker, b"one", b"two")
            found = take(collector, 2)
            collector.acknowledge(found[:1])
            send(broker, b"three")
            take(collector, 1)
        with source([broker]) as collector:
            assert [one.payload for one in take(collector, 2)] == [b"two", b"three"]
            # An acknowledgement of the former connection would be one of another message on this.
            collector.acknowledge(found)
        with source([broker]) as collector:
            assert len(take(collector, 2)) == 2


def test_a_payload_that_is_too_large_is_refused_in_words_and_holds_up_nobody(tmp_path: Path) -> None:
    with running(Broker(tmp_path)) as broker, source([broker]) as collector:
        collector.wait(60)
        send(broker, b"9" * 30 * MAX_BYTES, b"{}")
        large, small = take(collector, 2)
        assert small.payload == b"{}"
        assert len(large.payload) == MAX_BYTES + 1
        record = read(large, PREFIX)
        assert isinstance(record, Refused)
        assert "bytes" in record.reason


def test_a_collector_that_is_not_let_in_says_why_and_goes_on(tmp_path: Path) -> None:
    broker = Broker(tmp_path, ["allow_anonymous false"])
    with running(broker), source([broker]) as collector:
        wait_until(lambda: collector.last_error is not None, what="an error")
        with pytest.raises(BrokerError, match=r"check mqtt\.username"):
            collector.wait(0)
        assert not collector.publish(TOPIC, b"")
        broker.stop()
        broker.lines[:] = ["allow_anonymous true"]
        broker.start()
        collector.wait(60)
        assert collector.publish(TOPIC, b"")


def test_a_command_that_never_went_out_is_no_obstacle_to_the_next() -> None:
    link = Link(MqttConfig(), "collector", [], lambda _: None, lambda _: None, several=False)
    # The connection is lost, and the collector has not noticed yet.
    assert [link.publish(TOPIC, b"", retain) for retain in (True, False)] == [False, False]


def test_there_is_one_prefix_for_devices_and_broker() -> None:
    with pytest.raises(ValueError, match="set prefix: shop in place of"):
        FleetConfig.model_validate({"mqtt": {"prefix": "shop"}})
    assert FleetConfig.model_validate({"prefix": "shop", "mqtt": {"prefix": "shop"}}).prefix == "shop"
