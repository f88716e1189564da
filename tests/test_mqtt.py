"""The publisher against a real Mosquitto: status, order, every way to be refused, and nothing that ends it."""

import json
import logging
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from broker import Authority, Broker, Ear, free_port, needs_mosquitto, running, wait_until

from edge_agender.broker import read_password, tls_context
from edge_agender.errors import BrokerError, CredentialError
from edge_agender.message import Message
from edge_agender.mqtt import Publisher, check_connection
from edge_agender.outbox import Outbox
from edge_agender.settings import MqttConfig, OutboxConfig, TlsConfig

pytestmark = needs_mosquitto
SECRET = "planted-s3cret"
QUICK = {"reconnect_min_s": 0.05, "reconnect_max_s": 0.2}


def status(state: str) -> Message:
    return Message("status", "p/d/status", json.dumps({"state": state}).encode(), 1, True)


def window(number: int) -> Message:
    payload = json.dumps({"boot_id": "b", "sequence": number}).encode()
    return Message("window", "p/d/window", payload, 1, False, durable=True)


def frame(number: int, qos: int = 0) -> Message:
    return Message("frame", "p/d/frame", json.dumps({"sequence": number}).encode(), qos, False)


def settings(port: int, **changes: Any) -> MqttConfig:
    return MqttConfig(**{"port": port, "host": "localhost"} | QUICK | changes)


class Link:
    """An outbox and its publisher."""

    def __init__(self, config: MqttConfig, folder: Path, **options: Any) -> None:
        self.outbox = Outbox(OutboxConfig(path=folder, **options))
        self.publisher = Publisher(config, "d", self.outbox, status)
        self._stack = ExitStack()

    def __enter__(self) -> "Link":
        self._stack.enter_context(self.outbox)
        self._stack.enter_context(self.publisher)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait_connected(self) -> None:
        wait_until(lambda: self.publisher.state().connected, what="connected")


def sequences(ear: Ear, topic: str = "p/d/window") -> list[int]:
    return [payload["sequence"] for payload in ear.payloads(topic)]


def states(ear: Ear) -> list[str]:
    return [payload["state"] for payload in ear.payloads("p/d/status")]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(Broker(tmp_path_factory.mktemp("broker"))) as one:
        yield one


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    with running(Broker(tmp_path / "broker")) as one:
        yield one


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class NarrowBroker:
    """Speaks as much MQTT 5 as shows how many messages a client leaves unacknowledged: Mosquitto does not limit it."""

    def __init__(self, receive_maximum: int) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._properties = b"\x21" + receive_maximum.to_bytes(2, "big")
        self.most_in_flight = 0
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "NarrowBroker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._server.close()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        connection.settimeout(0.05)
        unacknowledged: list[bytes] = []
        with connection:
            while True:
                try:
                    kind, body = _packet(connection)
                except TimeoutError:
                    for identifier in unacknowledged:
                        connection.sendall(b"\x40\x02" + identifier)
                    unacknowledged.clear()
                    continue
                except ConnectionError:
                    return
                if kind >> 4 == 1:
                    answer = b"\0\0" + bytes([len(self._properties)]) + self._properties
                    connection.sendall(b"\x20" + bytes([len(answer)]) + answer)
                elif kind >> 4 == 3 and kind & 6:
                    end = 2 + int.from_bytes(body[:2], "big")
                    unacknowledged.append(body[end : end + 2])
                    self.most_in_flight = max(self.most_in_flight, len(unacknowledged))


def _packet(connection: socket.socket) -> tuple[int, bytes]:
    """Read one MQTT packet: its first byte and its body."""
    head = connection.recv(1)
    if not head:
        raise ConnectionError
    size = shift = 0
    while True:
        byte = connection.recv(1)[0]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    body = b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    return head[0], body


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
        assert narrow.most_in_flight == 3

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
        broker = Broker(tmp_path / "broker")
        with ExitStack() as stack:
            link = stack.enter_context(Link(settings(broker.port), tmp_path))
            link.outbox.put(window(1))
            wait_until(lambda: "nothing listens" in str(link.publisher.state().last_error))
            time.sleep(0.5)
            stack.enter_context(running(broker))
            ear = stack.enter_context(Ear(broker.port))
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

    def test_unknown_host_does_not_hold_up_the_stop(self, tmp_path: Path) -> None:
        with Link(settings(1883, host="no-such-host.invalid"), tmp_path) as link:
            link.outbox.put(window(1))
            wait_until(lambda: "unknown host" in str(link.publisher.state().last_error), 30)
            before_s = time.monotonic()
        assert time.monotonic() - before_s < 2
        assert link.outbox.state().durable == 1

    def test_silent_port_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge_agender.session.CONNACK_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            with Link(settings(port), tmp_path) as link:
                wait_until(lambda: "no answer" in str(link.publisher.state().last_error))

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


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Wants a password; the user device may write below p/d and read its commands, ear reads everything."""
    folder = tmp_path_factory.mktemp("guarded")
    lines = ["allow_anonymous false", f"password_file {folder}/passwords", f"acl_file {folder}/acl"]
    broker = Broker(folder, lines)
    broker.add_user("device", SECRET)
    broker.add_user("ear", "e")
    acl = ["user device", "topic write p/d/#", "topic read p/d/+/set", "user ear", "topic readwrite #"]
    (folder / "acl").write_text("\n".join(acl) + "\n")
    with running(broker) as one:
        yield one


def password_file(folder: Path, text: str) -> Path:
    path = folder / "password"
    path.write_text(text)
    return path


class TestCredentials:
    def test_password_of_a_file(self, guarded: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        config = settings(guarded.port, username="device", password_file=password_file(tmp_path, SECRET + "\n"))
        check_connection(config)
        with Link(config, tmp_path / "state") as link:
            link.wait_connected()
            assert SECRET not in repr(link.publisher.__dict__) + repr(link.publisher.state())
        assert SECRET not in caplog.text + repr(config)

    def test_password_of_systemd(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        assert read_password(MqttConfig(username="device")) is None
        (tmp_path / "mqtt-password").write_text("of systemd\n")
        assert read_password(MqttConfig(username="device")) == "of systemd"
        chosen = password_file(tmp_path, "of a file")
        assert read_password(MqttConfig(username="device", password_file=chosen)) == "of a file"

    @pytest.mark.parametrize("protocol", ["5", "3.1.1"])
    def test_wrong_password_warns_once_and_heals(
        self, guarded: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
    ) -> None:
        caplog.set_level(logging.DEBUG, "edge_agender")
        path = password_file(tmp_path, "wrong-" + SECRET)
        config = settings(guarded.port, username="device", password_file=path, protocol=protocol)
        with pytest.raises(CredentialError, match=r"refuses user device: check mqtt\.username"):
            check_connection(config)
        with Link(config, tmp_path / "state") as link:
            wait_until(lambda: caplog.text.count("refuses user device") >= 3)
            assert [r.levelname for r in caplog.records if "refuses user" in r.message].count("WARNING") == 1
            path.write_text(SECRET)
            link.wait_connected()
        assert SECRET not in caplog.text

    def test_anonymous_is_refused(self, guarded: Broker) -> None:
        with pytest.raises(CredentialError, match="refuses a client without a name"):
            check_connection(settings(guarded.port))

    @pytest.mark.parametrize(
        ("content", "says"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8"), (b"\n", "empty")]
    )
    def test_unusable_password_file(self, tmp_path: Path, content: bytes | None, says: str) -> None:
        path = tmp_path / "password"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(CredentialError, match=says) as caught:
            read_password(MqttConfig(username="device", password_file=path))
        assert "\n" not in str(caught.value)

    def test_topic_outside_the_acl_waits_and_is_reported(
        self, guarded: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge_agender.session.REFUSED_PAUSE_S", 0.3)
        config = settings(guarded.port, username="device", password_file=password_file(tmp_path, SECRET))
        acl = guarded.folder / "acl"
        before = acl.read_text()
        with Ear(guarded.port, "#", "ear", "e") as ear, Link(config, tmp_path / "state") as link:
            link.outbox.put(Message("window", "other/window", b'{"sequence":1}', 1, False, durable=True))
            wait_until(lambda: "other/window: the broker refuses it" in caplog.text)
            assert link.outbox.state().durable == 1
            acl.write_text(before.replace("topic write p/d/#", "topic write #"))
            guarded.send(signal.SIGHUP)
            wait_until(lambda: sequences(ear, "other/window") == [1])
        acl.write_text(before)
        guarded.send(signal.SIGHUP)


@pytest.fixture(scope="module")
def secured(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    certificate, key = authority.certificate("server", "localhost")
    lines = [f"cafile {authority.ca}", f"certfile {certificate}", f"keyfile {key}", "allow_anonymous true"]
    with running(Broker(tmp_path_factory.mktemp("tls"), lines)) as one:
        yield one


class TestTls:
    def test_ca_given_is_enough(self, secured: Broker, authority: Authority, tmp_path: Path) -> None:
        config = settings(secured.port, tls=TlsConfig(ca_file=authority.ca))
        check_connection(config)
        with Link(config, tmp_path) as link:
            link.outbox.put(window(1))
            wait_until(lambda: link.publisher.state().acknowledged == 1)

    def test_many_large_messages_through_tls(self, secured: Broker, authority: Authority, tmp_path: Path) -> None:
        with Link(settings(secured.port, tls=TlsConfig(ca_file=authority.ca)), tmp_path) as link:
            for number in range(60):
                text = json.dumps({"sequence": number, "filler": "x" * 40_000}).encode()
                link.outbox.put(Message("window", "p/d/window", text, 1, False, durable=True))
            wait_until(lambda: link.publisher.state().acknowledged == 60)

    def test_wrong_ca(self, secured: Broker, tmp_path: Path) -> None:
        other = Authority(tmp_path / "other")
        with pytest.raises(CredentialError, match="not signed by the CA in"):
            check_connection(settings(secured.port, tls=TlsConfig(ca_file=other.ca)))
        with pytest.raises(CredentialError, match="not signed by a CA that this system knows"):
            check_connection(settings(secured.port, tls=TlsConfig(enabled=True)))

    def test_name_is_checked(self, secured: Broker, authority: Authority) -> None:
        with pytest.raises(CredentialError, match=r"not for 127\.0\.0\.1"):
            check_connection(settings(secured.port, host="127.0.0.1", tls=TlsConfig(ca_file=authority.ca)))

    def test_insecure_is_loud(self, secured: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        config = settings(secured.port, host="127.0.0.1", tls=TlsConfig(enabled=True, insecure=True))
        with Link(config, tmp_path) as link:
            link.wait_connected()
        assert "ANYBODY ON THE NETWORK" in caplog.text

    def test_tls_to_a_plain_port_and_plain_to_a_tls_port(
        self, secured: Broker, broker: Broker, authority: Authority
    ) -> None:
        with pytest.raises(BrokerError, match="check that this port speaks MQTT over TLS"):
            check_connection(settings(broker.port, tls=TlsConfig(ca_file=authority.ca)))
        with pytest.raises(BrokerError, match=r"set mqtt\.tls\.ca_file"):
            check_connection(settings(secured.port))

    def test_versions_before_1_2_are_refused(self, authority: Authority) -> None:
        assert tls_context(TlsConfig(ca_file=authority.ca)).minimum_version == ssl.TLSVersion.TLSv1_2

    def test_client_certificate(self, authority: Authority, tmp_path: Path) -> None:
        certificate, key = authority.certificate("server2", "localhost")
        mine, my_key = authority.certificate("device", "d")
        lines = [f"cafile {authority.ca}", f"certfile {certificate}", f"keyfile {key}"]
        lines += ["require_certificate true", "use_identity_as_username true"]
        with running(Broker(tmp_path / "broker", lines)) as broker:
            without = TlsConfig(ca_file=authority.ca)
            check_connection(
                settings(broker.port, tls=TlsConfig(ca_file=authority.ca, certificate_file=mine, key_file=my_key))
            )
            with pytest.raises(CredentialError, match="it may want a client certificate"):
                check_connection(settings(broker.port, tls=without))

    @pytest.mark.parametrize("option", ["ca_file", "certificate_file", "key_file"])
    def test_unreadable_files(self, authority: Authority, tmp_path: Path, option: str) -> None:
        mine, key = authority.certificate("device2", "d")
        files = {"ca_file": authority.ca, "certificate_file": mine, "key_file": key}
        for content, says in ((None, "No such file"), ("nothing of use", "PEM")):
            path = tmp_path / "bad.pem"
            if content is not None:
                path.write_text(content)
            with pytest.raises(CredentialError, match=says):
                check_connection(settings(1, tls=TlsConfig(**files | {option: path})))


class TestChecks:
    def test_unknown_host_and_refused(self) -> None:
        with pytest.raises(BrokerError, match=r"unknown host: check mqtt\.host"):
            check_connection(settings(1883, host="no-such-host.invalid"))
        with pytest.raises(BrokerError, match="nothing listens there"):
            check_connection(settings(free_port()))

    def test_http_server_is_no_broker(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer() -> None:
                connection, _ = server.accept()
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

            thread = threading.Thread(target=answer)
            thread.start()
            with pytest.raises(BrokerError):
                check_connection(settings(server.getsockname()[1]))
            thread.join()


class TestCommands:
    def test_reach_their_handler_also_after_a_reconnection(self, own_broker: Broker, tmp_path: Path) -> None:
        got: list[tuple[str, bytes]] = []
        link = Link(settings(own_broker.port), tmp_path)
        link.publisher.subscribe("p/d/enabled/set", lambda topic, payload: got.append((topic, payload)), max_bytes=100)
        with Ear(own_broker.port) as ear, link:
            link.wait_connected()
            for payload in (b"on", b"x" * 101, b""):
                ear._client.publish("p/d/enabled/set", payload, 1)
            wait_until(lambda: got == [("p/d/enabled/set", b"on"), ("p/d/enabled/set", b"")])
            assert link.publisher.state().unheard == 1
            own_broker.stop()
            own_broker.start()
            ear.wait_back()
            link.wait_connected()
            ear._client.publish("p/d/enabled/set", b"off", 1)
            wait_until(lambda: got[-1][1] == b"off")

    def test_a_failing_handler_costs_nothing_else(self, own_broker: Broker, tmp_path: Path) -> None:
        def fail(topic: str, payload: bytes) -> None:
            raise ValueError("planted")

        link = Link(settings(own_broker.port), tmp_path)
        link.publisher.subscribe("p/d/content", fail)
        with Ear(own_broker.port) as ear, link:
            link.wait_connected()
            ear._client.publish("p/d/content", b"x", 1)
            wait_until(lambda: link.publisher.state().unheard == 1)
            link.outbox.put(window(1))
            wait_until(lambda: sequences(ear) == [1])
            assert link.publisher.state().connects == 1

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
            link.publisher.subscribe("p/d/enabled/set", lambda *_: None)
            with link:
                wait_until(lambda: "refuses a subscription: let this device read p/d/enabled/set" in caplog.text)
