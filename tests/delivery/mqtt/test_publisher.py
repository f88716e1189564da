"""The publisher against a real Mosquitto: status, order, every way to be refused, and nothing that ends it."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_agender.config.settings import MqttConfig, OutboxConfig
from edge_agender.delivery.mqtt import diagnose
from edge_agender.delivery.mqtt import publisher as mqtt_publisher
from edge_agender.delivery.mqtt import session as mqtt_session
from edge_agender.delivery.mqtt.publisher import Publisher
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.messages.message import Message
from tests.support.broker import Broker, Ear, needs_mosquitto, running, wait_until
from tests.support.link import QUICK, Link, NarrowBroker, frame, sequences, settings, states, window

pytestmark = [needs_mosquitto, pytest.mark.usefixtures("patient")]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(Broker(tmp_path_factory.mktemp("broker"))) as one:
        yield one


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    with running(Broker(tmp_path / "broker")) as one:
        yield one


class TestPublishing:
    @pytest.mark.parametrize("protocol", ["5", "3.1.1"])
    def test_online_messages_in_order_stopped(self, own_broker: Broker, tmp_path: Path, protocol: str) -> None:
        with Ear(own_broker.port) as ear:
            with Link(settings(own_broker.port, protocol=protocol), tmp_path) as link:
                for number in range(50):
                    link.outbox.put(window(number))
                    link.outbox.put(frame(number))
                wait_until(lambda: link.publisher.state().acknowledged == 50)
                assert link.outbox.state().durable == 0
            wait_until(lambda: states(ear) == ["online", "stopped"])
        assert sequences(ear) == sequences(ear, "p/d/frame") == list(range(50))
        assert all(message.retain is False for message in ear.heard if message.topic != "p/d/status")

    def test_properties_of_mqtt_5(self, own_broker: Broker, tmp_path: Path) -> None:
        with Ear(own_broker.port) as ear, Link(settings(own_broker.port), tmp_path) as link:
            link.outbox.put(window(1))
            link.outbox.put(frame(1))
            wait_until(lambda: len(ear.heard) == 3)
        found = {message.topic: message.properties for message in ear.heard}
        assert found["p/d/frame"].ContentType == found["p/d/window"].ContentType == "application/json"
        assert 0 < found["p/d/frame"].MessageExpiryInterval <= 60
        assert not hasattr(found["p/d/window"], "MessageExpiryInterval")
        assert not hasattr(found["p/d/status"], "MessageExpiryInterval")

    def test_what_waits_at_the_stop_is_sent_before_stopped(self, own_broker: Broker, tmp_path: Path) -> None:
        with Ear(own_broker.port) as ear:
            with Link(settings(own_broker.port), tmp_path) as link:
                link.wait_connected()
                for number in range(60):
                    link.outbox.put(window(number))
            wait_until(lambda: "stopped" in states(ear))
        assert sequences(ear) == list(range(60))
        assert ear.heard[-1].topic == "p/d/status"

    def test_live_messages_that_wait_at_the_stop_are_sent_too(self, own_broker: Broker, tmp_path: Path) -> None:
        with Ear(own_broker.port) as ear:
            with Link(settings(own_broker.port), tmp_path) as link:
                link.wait_connected()
                with link.outbox._lock:
                    # The publisher sees it, and all of these, once the lock is free: not its outbox empty in between.
                    link.publisher._stop.set()
                    for number in range(20):
                        link.outbox.put(frame(number))
            wait_until(lambda: "stopped" in states(ear))
        assert sequences(ear, "p/d/frame") == list(range(20))
        assert ear.heard[-1].topic == "p/d/status"

    def test_durable_message_is_acknowledged_even_with_qos_0(self, broker: Broker, tmp_path: Path) -> None:
        with Link(settings(broker.port, client_id="q"), tmp_path) as link:
            link.outbox.put(Message("window", "q/window", b"{}", 0, False, durable=True))
            wait_until(lambda: link.publisher.state().acknowledged == 1)

    def test_no_more_in_flight_than_the_broker_allows(self, tmp_path: Path) -> None:
        narrow = NarrowBroker(receive_maximum=3)
        with narrow, Link(settings(narrow.port), tmp_path) as link:
            for number in range(30):
                link.outbox.put(window(number))
            wait_until(lambda: link.publisher.state().acknowledged == 30)
        assert 1 <= narrow.most_in_flight <= 3

    def test_broker_that_hangs_up_on_a_topic_gets_the_others(self, tmp_path: Path) -> None:
        with NarrowBroker(hang_up_on=b"p/d/closed") as narrow, Link(settings(narrow.port), tmp_path) as link:
            for number in range(10):
                link.outbox.put(Message("viewer", "p/d/closed", b"{}", 1, False, durable=True))
                link.outbox.put(window(number))
            wait_until(lambda: link.publisher.state().acknowledged == 10)
            assert link.outbox.state().durable == 10
            assert "the broker refuses p/d/closed" in str(link.outbox.state().alarm)
            assert narrow.hung_up <= 10

    def test_message_larger_than_the_broker_takes_is_counted_and_passed_over(self, tmp_path: Path) -> None:
        small = Broker(tmp_path / "broker", ["allow_anonymous true", "max_packet_size 2000"])
        with running(small), Ear(small.port) as ear, Link(settings(small.port), tmp_path) as link:
            link.outbox.put(Message("window", "p/d/window", b'{"a":"' + b"x" * 3000 + b'"}', 1, False, durable=True))
            link.outbox.put(window(1))
            wait_until(lambda: sequences(ear) == [1])
            assert link.outbox.state().dropped == {"refused": 1}
            assert link.publisher.state().connects == 1


class TestAnyOrder:
    def test_broker_comes_later_and_comes_back(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "edge_agender")
        broker = Broker(tmp_path / "broker", remembers=True)
        with ExitStack() as stack:
            # The listener's subscription is in the broker's memory before the publisher has anything to say.
            stack.enter_context(running(broker))
            ear = stack.enter_context(Ear(broker.port))
            broker.stop()
            link = stack.enter_context(Link(settings(broker.port), tmp_path))
            link.outbox.put(window(1))
            wait_until(lambda: caplog.text.count("nothing listens") > 3, what="several attempts")
            broker.start()
            ear.wait_back()
            link.wait_connected()
            wait_until(lambda: sequences(ear) == [1])
            warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
            assert len(warnings) == 1
            broker.kill()
            wait_until(lambda: not link.publisher.state().connected)
            link.outbox.put(window(2))
            broker.start()
            ear.wait_back()
            wait_until(lambda: sorted(set(sequences(ear))) == [1, 2])
            assert states(ear)[-1] == "online"
            assert [r.message for r in caplog.records if r.levelno == logging.INFO].count(
                f"connected to broker localhost:{broker.port}"
            ) == 2

    def test_unknown_host_is_tried_again(self, tmp_path: Path) -> None:
        with Link(settings(1883, host="no-such-host.invalid"), tmp_path) as link:
            link.outbox.put(window(1))
            wait_until(lambda: "unknown host" in str(link.publisher.state().last_error))
        assert link.outbox.state().durable == 1

    def test_name_server_that_does_not_answer_does_not_hold_up_the_stop(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, answer = threading.Event(), threading.Event()

        def ask(*_: object, **__: object) -> None:
            asked.set()
            answer.wait(60)
            raise socket.gaierror(socket.EAI_NONAME, "unknown")

        monkeypatch.setattr(mqtt_publisher, "STOP_S", 0.1)
        monkeypatch.setattr("socket.getaddrinfo", ask)
        with Link(settings(1883, host="broker.shop.example"), tmp_path):
            assert asked.wait(60)
            before_s = time.monotonic()
        assert time.monotonic() - before_s < 30
        answer.set()

    def test_silent_port_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mqtt_session, "CONNACK_S", 0.2)
        monkeypatch.setattr(diagnose, "ANSWER_S", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            with Link(settings(port), tmp_path) as link:
                wait_until(lambda: "does not answer" in str(link.publisher.state().last_error))

    def test_one_of_several_that_hangs_is_not_asked_what_it_speaks(
        self, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The questions take twelve seconds, in which the next one could have had the messages."""
        monkeypatch.setattr(mqtt_session, "CONNACK_S", 3.0)  # the other one answers in time on a busy machine too
        with socket.create_server(("127.0.0.1", 0)) as hangs:
            hosts = (f"127.0.0.1:{hangs.getsockname()[1]}", f"127.0.0.1:{broker.port}")
            with Link(MqttConfig(hosts=hosts, **QUICK), tmp_path) as link:
                link.wait_connected()
            hangs.setblocking(False)
            hangs.accept()[0].close()
            with pytest.raises(BlockingIOError):
                hangs.accept()

    def test_a_mistake_inside_does_not_end_it(self, broker: Broker, tmp_path: Path) -> None:
        fail = threading.Event()
        fail.set()

        def builder(state: str) -> Message:
            if fail.is_set():
                raise RuntimeError("planted")
            return Message("status", "m/status", b"{}", 1, True)

        outbox = Outbox(OutboxConfig(path=tmp_path))
        publisher = Publisher(settings(broker.port, client_id="m"), "d", outbox, builder)
        with outbox, publisher:
            wait_until(lambda: "planted" in str(publisher.state().last_error))
            fail.clear()
            wait_until(lambda: publisher.state().connected)


COMMAND = "p/d/enabled/set"


class TestCommands:
    def test_reach_their_handler_also_after_a_reconnection(self, own_broker: Broker, tmp_path: Path) -> None:
        got: list[tuple[str, bytes]] = []
        link = Link(settings(own_broker.port), tmp_path)
        link.publisher.subscribe(COMMAND, lambda topic, payload: got.append((topic, payload)), max_bytes=100)
        with Ear(own_broker.port) as ear, link:
            # Connected is not yet subscribed: say it until it is heard.
            wait_until(lambda: ear.say(COMMAND, "?") or got)
            for payload in (b"on", b"x" * 101, b""):
                ear.say(COMMAND, payload.decode())
            wait_until(lambda: [each for each in got if each[1] != b"?"] == [(COMMAND, b"on"), (COMMAND, b"")])
            assert link.publisher.state().unheard == 1
            own_broker.stop()
            own_broker.start()
            ear.wait_back()
            wait_until(lambda: link.publisher.state().connects >= 2)
            wait_until(lambda: ear.say(COMMAND, "off") or got[-1][1] == b"off")

    def test_a_failing_handler_costs_nothing_else(self, own_broker: Broker, tmp_path: Path) -> None:
        def fail(topic: str, payload: bytes) -> None:
            raise ValueError("planted")

        link = Link(settings(own_broker.port), tmp_path)
        link.publisher.subscribe("p/d/content", fail)
        with Ear(own_broker.port) as ear, link:
            wait_until(lambda: ear.say("p/d/content", "x") or link.publisher.state().unheard)
            link.outbox.put(window(1))
            wait_until(lambda: sequences(ear) == [1])
            assert link.publisher.state().connects == 1

    def test_a_subscription_that_is_refused_for_a_while_is_asked_for_until_it_is_granted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mqtt_session, "SUBSCRIBE_AGAIN_S", 0.0)
        with NarrowBroker(refusals=3) as narrow:
            link = Link(settings(narrow.port), tmp_path)
            link.publisher.subscribe(COMMAND, lambda *_: None)
            with link:
                wait_until(lambda: len(narrow.subscriptions) >= 4)
                link.outbox.put(window(1))
                wait_until(lambda: not link.outbox.state().durable)
            assert narrow.subscriptions == [False, False, False, True]

    def test_refused_subscription_is_reported(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        plugins = sorted(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
        if not plugins:
            pytest.skip("this Mosquitto has no plugin that refuses subscriptions (its ACL file cannot)")
        rules = tmp_path / "rules.json"
        access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
        rules.write_text(json.dumps({"defaultACLAccess": access}))
        lines = ["allow_anonymous true", f"plugin {plugins[0]}", f"plugin_opt_config_file {rules}"]
        with running(Broker(tmp_path / "broker", lines)) as broker:
            link = Link(settings(broker.port), tmp_path / "state")
            link.publisher.subscribe(COMMAND, lambda *_: None)
            with link:
                wait_until(lambda: "refuses a subscription: let this device read p/d/enabled/set" in caplog.text)
