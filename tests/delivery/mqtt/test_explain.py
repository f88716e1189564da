"""The remedy names the likeliest cause, by what was seen: for every code of a broker, and for what is no broker."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt import connection as mqtt_connection
from edge_agender.delivery.mqtt import diagnose
from edge_agender.delivery.mqtt.explain import (
    ClosedError,
    Ending,
    TakenOverError,
    explain_code,
    explain_ending,
    explain_refusal,
)
from edge_agender.delivery.mqtt.probe import check_connection
from edge_agender.errors import BrokerError, CredentialError, EdgeAgenderError
from tests.support.link import settings
from tests.support.puppet import CONNECT, Puppet, connack, well_behaved

CODES = [code for code in range(0x80, 0xA3) if code not in (0x8F, 0x91, 0x92)]


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_mqtt_5_has_one_line_with_a_remedy(code: int) -> None:
    text = str(explain_code(code, MqttConfig(host="broker.local"), "edge-agender-lobby", "no “reason”"))
    assert text.startswith("broker broker.local:1883: ")
    assert text.count(": ") >= 2
    assert "\n" not in text


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (1, BrokerError, "mqtt.protocol: 3.1.1"),
        (2, BrokerError, "refuses the client id"),
        (3, BrokerError, "starting, stopping or overloaded"),
        (4, CredentialError, "check mqtt.username"),
        (5, CredentialError, "check mqtt.username"),
        (77, BrokerError, "gives no reason"),
    ],
)
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_each_code_of_mqtt_3_1_1_is_understood_in_both(
    code: int, kind: type[EdgeAgenderError], says: str, protocol: str
) -> None:
    """Brokers that know the former version alone answer MQTT 5 in its words."""

    def answer(packet: int, head: int, body: bytes) -> bytes | None:
        return bytes([0x20, 2, 0, code]) if packet == CONNECT else None

    with Puppet(answer) as puppet, pytest.raises(kind) as caught:
        check_connection(settings(puppet.port, protocol=protocol))
    assert (says.replace("3.1.1", "5") if protocol == "3.1.1" else says) in str(caught.value)


def test_what_the_broker_says_itself_is_shown_without_what_moves_a_terminal() -> None:
    properties = Properties(PacketTypes.CONNACK)
    properties.ReasonString = "disk \x1b[31mfull\n" + "x" * 300
    reason = ReasonCode(PacketTypes.CONNACK, identifier=0x88)
    text = str(explain_refusal(reason, properties, MqttConfig(), "name"))
    assert "(“disk [31mfull x" in text
    assert len(text) < 320
    assert text.isprintable()


def test_another_server_is_named_and_not_followed() -> None:
    properties = Properties(PacketTypes.CONNACK)
    properties.ServerReference = "other.example:1883"
    reason = ReasonCode(PacketTypes.CONNACK, identifier=0x9C)
    assert "use other.example:1883" in str(explain_refusal(reason, properties, MqttConfig(), "name"))


def test_a_user_without_a_password_may_be_a_token_and_is_not_shown(tmp_path: Path) -> None:
    assert "T0ken" not in str(explain_code(0x87, MqttConfig(username="T0ken"), "name"))
    assert "user shop" in str(explain_code(0x87, MqttConfig(username="shop", password_file=tmp_path), "name"))


def test_taken_over_is_told_from_other_ends() -> None:
    assert isinstance(explain_code(0x8E, MqttConfig(), "name"), TakenOverError)
    lost = explain_ending(MqttConfig(), "name", Ending(accepted=True))
    assert isinstance(lost, ClosedError)
    assert "was lost" in str(lost)
    assert not isinstance(explain_ending(MqttConfig(), "name", Ending(accepted=True, carrying=True)), ClosedError)


@contextmanager
def saying(words: bytes, *, wait: bool) -> Iterator[int]:
    """A server that says something at once, or after it was spoken to, and closes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    if wait:
                        connection.recv(1000)
                    connection.sendall(words)
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1000)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(60)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a web server"),
        (b'INFO {"server_id":"N"} \r\n', "a NATS server's client port"),
        (b"AMQP\0\0\x09\x01", "an AMQP port"),
        (b"SSH-2.0-OpenSSH_9\r\n", "an SSH server"),
        (b"\x15\x03\x01\0\x02\x02\x46", "this port speaks TLS"),
        (b"220 mail\r\n", "no MQTT broker"),
    ],
)
def test_what_answers_there_is_named(words: bytes, says: str) -> None:
    with saying(words, wait=True) as port, pytest.raises(BrokerError, match=says):
        check_connection(settings(port))


def test_a_web_server_that_waits_for_a_request_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(diagnose, "ANSWER_S", 2.0)  # one of them must answer, on a busy machine too
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(BrokerError, match="a web server answers there"):
            check_connection(settings(server.server_address[1]))
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


@pytest.mark.parametrize(
    ("silent", "says"), [(False, "closes the connection after CONNECT"), (True, "and does not answer")]
)
def test_a_broker_of_the_former_version_that_says_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch, silent: bool, says: str
) -> None:
    """RabbitMQ 3.10 closes on a CONNECT of MQTT 5, amqtt 0.12 keeps silent on one with a will."""
    monkeypatch.setattr(mqtt_connection, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(diagnose, "ANSWER_S", 2.0)  # one of them must answer, on a busy machine too

    def answer(kind: int, head: int, body: bytes) -> bytes | None:
        if kind == CONNECT and body[6] == 4:
            return b"\x20\2\0\0"
        return b"" if silent else None

    with Puppet(answer) as puppet, pytest.raises(BrokerError, match=r"set mqtt\.protocol: 3\.1\.1") as caught:
        check_connection(settings(puppet.port))
    assert says in str(caught.value)


def test_a_broker_that_takes_others_is_not_blamed_for_its_protocol() -> None:
    def answer(kind: int, head: int, body: bytes) -> bytes | None:
        return None if kind == CONNECT and b"edge-agender" in body else well_behaved(kind, head, body)

    with Puppet(answer) as puppet, pytest.raises(BrokerError, match="starting or overloaded, or refuses this client"):
        check_connection(settings(puppet.port))


def test_check_names_each_broker_that_is_away_and_fails_where_none_is_there() -> None:
    with Puppet(lambda kind, head, body: connack(properties=b"\x25\0")) as puppet:
        hosts = (f"127.0.0.1:{puppet.port}", "127.0.0.1:1")
        accepted, lines = check_connection(MqttConfig(hosts=hosts))
    assert [line.partition(": ")[0] for line in lines] == ["broker 127.0.0.1:1", f"broker 127.0.0.1:{puppet.port}"]
    assert "keeps no retained messages" in lines[1]
    assert accepted == [
        f"broker 127.0.0.1:{puppet.port}: connected, MQTT 5, without TLS, without a user name; "
        "it takes QoS 0 and 1, no retained messages"
    ]
    with pytest.raises(BrokerError, match="nothing listens there"):
        check_connection(MqttConfig(hosts=("127.0.0.1:1", "127.0.0.1:1")))
