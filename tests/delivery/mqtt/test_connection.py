"""Credentials, TLS and every way in which a broker can be missing, refuse or be the wrong one."""

import json
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agender.config.settings import MqttConfig, TlsConfig
from edge_agender.delivery.mqtt.connection import read_password, tls_context
from edge_agender.delivery.mqtt.probe import BrokerProbe, check_connection
from edge_agender.errors import BrokerError, CredentialError
from edge_agender.messages.message import Message
from tests.support.broker import Authority, Broker, Ear, free_port, needs_mosquitto, running, wait_until
from tests.support.link import Link, once, sequences, settings, window
from tests.support.paths import ROOT

pytestmark = [needs_mosquitto, pytest.mark.usefixtures("patient")]
SECRET = "planted-s3cret"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(Broker(tmp_path_factory.mktemp("broker"))) as one:
        yield one


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


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
        with pytest.raises(CredentialError, match="refuses a client without a user name"):
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

    def test_topic_outside_the_acl_waits_while_others_go_on(
        self, guarded: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = settings(guarded.port, username="device", password_file=password_file(tmp_path, SECRET))
        acl = guarded.folder / "acl"
        before = acl.read_text()
        with Ear(guarded.port, "#", "ear", "e") as ear, Link(config, tmp_path / "state") as link:
            link.outbox._queue.parking.retry_s = 0.5
            for number in range(50):
                link.outbox.put(window(number))
                payload = b'{"sequence":%d}' % number
                link.outbox.put(Message("window", "other/window", payload, 1, False, durable=True))
            wait_until(lambda: once(sequences(ear)) == list(range(50)))
            wait_until(lambda: "other/window: the broker refuses it" in caplog.text)
            wait_until(lambda: link.outbox.state().durable == 50)
            assert "the broker refuses other/window" in str(link.outbox.state().alarm)
            acl.write_text(before.replace("topic write p/d/#", "topic write #"))
            guarded.send(signal.SIGHUP)
            wait_until(lambda: once(sequences(ear, "other/window")) == list(range(50)))
            wait_until(lambda: link.outbox.state().alarm is None)
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
        with pytest.raises(BrokerError, match="this port speaks MQTT without TLS"):
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


class TestAccessRules:
    """docs/mosquitto.acl keeps devices apart."""

    @pytest.fixture
    def shared(self, tmp_path: Path) -> Iterator[Broker]:
        folder, rules = tmp_path / "broker", ROOT / "docs" / "mosquitto.acl"
        broker = Broker(folder, ["allow_anonymous false", f"password_file {folder}/passwords", f"acl_file {rules}"])
        for user in ("left", "right", "dashboard"):
            broker.add_user(user, user)
        with running(broker) as one:
            yield one

    def test_a_device_writes_its_own_topics_only(
        self, shared: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = settings(shared.port, username="left", password_file=password_file(tmp_path, "left"))

        def status(state: str) -> Message:
            return Message("status", "edge-agender/left/status", b"{}", 1, True)

        dashboard = Ear(shared.port, "#", "dashboard", "dashboard")
        with dashboard as ear, Link(config, tmp_path / "state", status) as link:
            for number, device in ((1, "right"), (2, "left")):
                topic = f"edge-agender/{device}/window"
                link.outbox.put(Message("window", topic, b'{"sequence":%d}' % number, 1, False, durable=True))
            wait_until(lambda: "edge-agender/right/window: the broker refuses it" in caplog.text)
            wait_until(lambda: sequences(ear, "edge-agender/left/window") == [2])
            assert sequences(ear, "edge-agender/right/window") == []

    def test_a_device_hears_its_own_commands_only(self, shared: Broker) -> None:
        with Ear(shared.port, "#", "left", "left") as left:
            with Ear(shared.port, "#", "dashboard", "dashboard", name="dashboard") as dashboard:
                for device in ("right", "left"):
                    dashboard.say(f"edge-agender/{device}/enabled/set", f"to {device}")
            wait_until(lambda: left.heard)
            assert [message.payload for message in left.heard] == [b"to left"]

    @pytest.mark.parametrize(
        ("user", "topic", "allowed"),
        [
            ("left", "homeassistant/device/left/edge-agender-left-1/config", True),
            ("left", "homeassistant/device/right/edge-agender-right-1/config", False),
            ("left", "homeassistant/device/edge-agender-left-1/config", False),
            ("dashboard", "edge-agender/left/content", True),
            ("dashboard", "edge-agender/dashboard/window", False),
            ("dashboard", "homeassistant/device/dashboard/x/config", False),
        ],
    )
    def test_who_may_announce_what(self, shared: Broker, tmp_path: Path, user: str, topic: str, allowed: bool) -> None:
        config = settings(shared.port, username=user, password_file=password_file(tmp_path, user))
        with BrokerProbe(config, f"probe-{user}") as probe:
            assert probe.publish(topic) == ("taken" if allowed else "refused")

    def test_no_device_takes_anothers_client_id(self, tmp_path: Path) -> None:
        folder = tmp_path / "broker"
        lines = [f"password_file {folder}/passwords", "allow_anonymous false", "use_username_as_clientid true"]
        broker = Broker(folder, lines)
        for user in ("left", "right"):
            broker.add_user(user, user)
        with running(broker):
            config = settings(broker.port, username="right", password_file=password_file(tmp_path, "right"))
            with Link(config, tmp_path / "state") as right:
                right.wait_connected()
                thief = settings(
                    broker.port,
                    username="left",
                    password_file=password_file(folder, "left"),
                    client_id="edge-agender-d",
                )
                with BrokerProbe(thief, "edge-agender-d") as probe:
                    assert probe.publish("p/left") == "taken"
                    right.outbox.put(window(1))
                    wait_until(lambda: right.outbox.state().durable == 0)
                assert right.publisher.state().connects == 1
