"""What a broker allows is obeyed, what that takes away is said once, and where it does not answer the next one is."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agender.delivery.mqtt.explain import ClosedError, TakenOverError
from edge_agender.delivery.mqtt.limits import IN_FLIGHT, Limits
from edge_agender.delivery.mqtt.publisher import TAKEN_OVER_MAX_S, TAKEN_OVER_MIN_S
from edge_agender.errors import BrokerError
from edge_agender.messages.message import Message
from tests.support.broker import Broker, Ear, free_port, needs_mosquitto, running, wait_until
from tests.support.link import Link, frame, once, sequences, settings, states, window
from tests.support.puppet import CONNECT, PUBLISH, Puppet, connack, disconnect, topic_and_number, well_behaved

pytestmark = pytest.mark.usefixtures("patient")


@needs_mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("retain_available false", "it keeps no retained messages"),
        ("max_qos 0", "it takes QoS 0 only"),
        ("max_qos 1", None),
    ],
)
def test_a_broker_that_takes_less_gets_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str, line: str, says: str | None
) -> None:
    with running(Broker(tmp_path / "broker", ["allow_anonymous true", line])) as broker, Ear(broker.port) as ear:
        with Link(settings(broker.port, protocol=protocol), tmp_path / "state") as link:
            for number in range(50):
                link.outbox.put(window(number))
            wait_until(lambda: once(sequences(ear)) == list(range(50)))
            wait_until(lambda: link.outbox.state().durable == 0)
        wait_until(lambda: states(ear)[-1] == "stopped")
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert sum(says is not None and says in text for text in warnings) == (0 if says is None else 1)
    assert not any("ACL" in text for text in warnings)


@pytest.mark.parametrize("code", [0x9A, 0x9B])
def test_a_refusal_of_the_will_is_learned_from(tmp_path: Path, code: int) -> None:
    """A will that is retained, or of QoS 1, at a broker that says in its refusal alone what it does not take."""
    flag = 0x20 if code == 0x9A else 0x08

    def answer(kind: int, head: int, body: bytes) -> bytes | None:
        if kind == CONNECT and body[7] & flag:
            return connack(code)
        return well_behaved(kind, head, body)

    with Puppet(answer) as puppet, Link(settings(puppet.port), tmp_path) as link:
        link.wait_connected()
        assert puppet.connections == 2


def test_a_refusal_of_what_was_allowed_is_learned_too(tmp_path: Path) -> None:
    """CONNACK says that messages may be retained, and DISCONNECT 0x9A comes for the first: no endless circle."""

    def answer(kind: int, head: int, body: bytes) -> bytes | None:
        return disconnect(0x9A) if kind == PUBLISH and head & 1 else well_behaved(kind, head, body)

    with Puppet(answer) as puppet, Link(settings(puppet.port), tmp_path) as link:
        link.outbox.put(window(1))
        wait_until(lambda: link.outbox.state().durable == 0)
        assert puppet.connections <= 3


def test_limits_of_a_connack() -> None:
    limits, properties = Limits(), Properties(PacketTypes.CONNACK)
    properties.ReceiveMaximum, properties.MaximumPacketSize = 1, 200
    properties.MaximumQoS, properties.RetainAvailable = 0, 0
    limits.accepted(properties, mqtt_5=True)
    message = Message("window", "t", b"x" * 100, 1, True, durable=True)
    assert (limits.in_flight, limits.qos_of(message), limits.retains(message)) == (1, 0, False)
    assert limits.too_large(Message("window", "t", b"x" * 150, 1, True))
    assert not limits.too_large(message)
    limits.accepted(Properties(PacketTypes.CONNACK), mqtt_5=True)
    assert (limits.in_flight, limits.qos_of(message), limits.retains(message)) == (IN_FLIGHT, 1, True)
    assert limits.losses() == []


def test_one_message_at_a_time_where_the_broker_takes_no_more(tmp_path: Path) -> None:
    def answer(kind: int, head: int, body: bytes) -> bytes | None:
        return connack(properties=b"\x21\0\1") if kind == CONNECT else well_behaved(kind, head, body)

    with Puppet(answer) as puppet, Link(settings(puppet.port), tmp_path) as link:
        for number in range(10):
            link.outbox.put(window(number))
            link.outbox.put(frame(number, qos=1))
        wait_until(lambda: link.outbox.state().durable == link.outbox.state().live == 0)


def arrived(ear: Ear, number: int) -> bool:
    return number in sequences(ear)


class TestSeveralBrokers:
    @needs_mosquitto
    def test_the_next_one_is_tried_and_then_the_first_again(self, tmp_path: Path) -> None:
        one, two = Broker(tmp_path / "one"), Broker(tmp_path / "two")
        hosts = (f"127.0.0.1:{free_port()}", f"localhost:{one.port}", f"mqtt://127.0.0.1:{two.port}")
        with Link(settings(1, host="localhost", hosts=hosts), tmp_path / "state") as link:
            for number, broker in enumerate((two, one, two)):
                with running(broker), Ear(broker.port) as ear:
                    link.outbox.put(window(number))
                    wait_until(partial(arrived, ear, number), what=f"window {number} at the broker that is there")
                    wait_until(lambda: link.outbox.state().durable == 0)

    @needs_mosquitto
    def test_one_that_acknowledges_nothing_is_left(self, tmp_path: Path) -> None:
        def answer(kind: int, head: int, body: bytes) -> bytes | None:
            return b"" if kind == PUBLISH else well_behaved(kind, head, body)

        with Puppet(answer) as puppet, running(Broker(tmp_path / "broker")) as broker, Ear(broker.port) as ear:
            hosts = (f"127.0.0.1:{puppet.port}", f"127.0.0.1:{broker.port}")
            with Link(settings(1, host="localhost", hosts=hosts, ack_timeout_s=4), tmp_path / "state") as link:
                link.outbox.put(window(1))
                wait_until(lambda: sequences(ear) == [1])
                wait_until(lambda: link.outbox.state().durable == 0)
            assert puppet.connections == 1

    def test_a_topic_that_alone_is_never_acknowledged_does_not_hold_up_the_others(self, tmp_path: Path) -> None:
        def answer(kind: int, head: int, body: bytes) -> bytes | None:
            silent = kind == PUBLISH and topic_and_number(body)[0] == "p/d/closed"
            return b"" if silent else well_behaved(kind, head, body)

        with Puppet(answer) as puppet, Link(settings(puppet.port, ack_timeout_s=1), tmp_path) as link:
            link.outbox.put(Message("viewer", "p/d/closed", b"{}", 1, False, durable=True))
            for number in range(5):
                link.outbox.put(window(number))
            wait_until(lambda: "the broker refuses p/d/closed" in str(link.outbox.state().alarm))
            wait_until(lambda: link.outbox.state().durable == 1)


class TestTwoDevicesOfOneName:
    @needs_mosquitto
    @pytest.mark.parametrize("protocol", ["5", "3.1.1"])
    def test_they_find_out_and_stop_throwing_each_other_out(self, tmp_path: Path, protocol: str) -> None:
        """Mosquitto 2.0.11 closes without a word, in both versions."""
        with ExitStack() as stack:
            broker = stack.enter_context(running(Broker(tmp_path / "broker")))
            ear = stack.enter_context(Ear(broker.port, "p/d/status"))
            config = settings(broker.port, protocol=protocol)
            links = [stack.enter_context(Link(config, tmp_path / name)) for name in ("one", "two")]
            said = "another client may use the client id edge-agender-d"
            wait_until(lambda: any(said in str(link.publisher.state().last_error) for link in links))
            # The other one is left alone from now on.
            wait_until(lambda: any(link.publisher.state().connected for link in links))
            assert states(ear).count("online") <= 10

    def test_a_broker_that_says_so_is_believed_at_once(self, tmp_path: Path) -> None:
        def answer(kind: int, head: int, body: bytes) -> bytes | None:
            return disconnect(0x8E) if kind == PUBLISH else well_behaved(kind, head, body)

        with Puppet(answer) as puppet, Link(settings(puppet.port), tmp_path) as link:
            said = "another client uses the client id edge-agender-d"
            wait_until(lambda: said in str(link.publisher.state().last_error))
            assert puppet.connections == 1

    def test_waits_grow_to_ten_minutes_and_shrink_after_a_long_connection(self, tmp_path: Path) -> None:
        publisher = Link(settings(1), tmp_path).publisher
        waits = [publisher._pause_s(publisher._suspected(TakenOverError("x"), lasted_s=5.0)) for _ in range(8)]
        assert TAKEN_OVER_MIN_S / 2 <= waits[0] <= TAKEN_OVER_MIN_S
        assert all(TAKEN_OVER_MAX_S / 2 <= wait_s <= TAKEN_OVER_MAX_S for wait_s in waits[5:])
        assert publisher._pause_s(publisher._suspected(BrokerError("x"), lasted_s=4 * TAKEN_OVER_MAX_S)) < 1
        assert publisher._pause_s(TakenOverError("x")) <= TAKEN_OVER_MIN_S

    def test_it_is_an_alarm_until_a_connection_outlasts_the_others_waiting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publisher = Link(settings(1), tmp_path).publisher
        assert publisher.state().conflict is None
        publisher._pause_s(TakenOverError("another client"))
        now_s = time.monotonic()
        publisher._came_up()
        assert publisher.state().conflict == "another client"
        monkeypatch.setattr(time, "monotonic", lambda: now_s + 2.5 * TAKEN_OVER_MAX_S)
        assert publisher.state().conflict is None
        publisher._suspected(BrokerError("x"), lasted_s=2.5 * TAKEN_OVER_MAX_S)
        publisher._up_since_s = None
        assert publisher.state().conflict is None

    def test_a_restarted_broker_is_no_other_device(self, tmp_path: Path) -> None:
        publisher = Link(settings(1), tmp_path).publisher
        errors = [ClosedError("x"), BrokerError("nothing listens there")] * 5 + [ClosedError("x"), ClosedError("x")]
        assert [publisher._suspected(error, lasted_s=5.0) for error in errors] == errors
        assert isinstance(publisher._suspected(ClosedError("x"), lasted_s=5.0), TakenOverError)


class TestClosedOnWill:
    def test_a_broker_that_once_took_the_will_is_not_suspected_when_it_closes(self) -> None:
        """A node of NATS closes while its cluster has no leader: durable messages must not go out at QoS 0 for that."""
        limits = Limits()
        limits.accepted(None, mqtt_5=False)
        for _ in range(4):
            assert not limits.closed_on_will()
        assert limits.qos_of(window(0)) == 1
        assert limits.retain

    def test_a_broker_that_never_took_it_is_asked_for_less(self) -> None:
        limits = Limits()
        assert limits.closed_on_will()
        assert not limits.retain
