"""The doctor at a real Mosquitto: every way in which the broker, its certificate or its permissions can be wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agender.commands.doctor import certificate
from edge_agender.commands.doctor.broker import CHECKS, check_broker
from edge_agender.commands.doctor.result import Result
from edge_agender.config.settings import Config, DeviceConfig, TlsConfig
from edge_agender.delivery.mqtt import connection as mqtt_connection
from edge_agender.delivery.mqtt import diagnose
from edge_agender.delivery.mqtt.probe import BrokerProbe
from edge_agender.device.installation import Place
from edge_agender.errors import CredentialError
from tests.support.broker import Authority, Broker, Ear, free_port, needs_mosquitto, running, wait_until
from tests.support.link import settings
from tests.support.paths import ROOT

SECRET = "planted-s3cret"
DEVICE = "entrance"

pytestmark = [needs_mosquitto, pytest.mark.usefixtures("patient")]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Mosquitto with the ACL that the documentation recommends, a user who may do all, and one who may nothing."""
    folder = tmp_path_factory.mktemp("guarded")
    acl = (ROOT / "docs/mosquitto.acl").read_text()
    more = ["user boss", "topic readwrite #", "user mute", "topic read nothing"]
    folder.joinpath("acl").write_text("\n".join([acl, *more]) + "\n")
    lines = ["allow_anonymous false", f"password_file {folder}/passwords", f"acl_file {folder}/acl"]
    broker = Broker(folder, lines)
    for name in (DEVICE, "boss", "mute", "dashboard"):
        broker.add_user(name, SECRET)
    with running(broker) as one:
        yield one


@pytest.fixture(scope="module")
def open_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(Broker(tmp_path_factory.mktemp("open"))) as one:
        yield one


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    return path


def examined(port: int, place: Path, **mqtt: object) -> dict[str, Result]:
    config = Config(device=DeviceConfig(name=DEVICE), mqtt=settings(port, prefix="edge-agender", **mqtt))
    results = check_broker(config, Place(place))
    assert sorted({result.check for result in results}) == sorted(CHECKS)
    text = repr(results)
    assert SECRET not in text
    for result in results:
        assert "\n" not in result.finding
        assert result.remedy is None or result.remedy.endswith(".")
        assert result.remedy is not None or result.state in ("ok", "skipped"), result
    return {result.check: result for result in results}


def states(results: dict[str, Result]) -> dict[str, str]:
    return {name: result.state for name, result in results.items()}


def test_all_is_well_with_the_acl_of_the_documentation(guarded: Broker, password: Path, tmp_path: Path) -> None:
    results = examined(guarded.port, tmp_path, username=DEVICE, password_file=password)
    assert states(results) == dict.fromkeys(CHECKS, "ok") | {"tls": "skipped"}
    assert results["isolation"].finding.startswith("may not write other devices' topics")


def test_a_wrong_password_is_explained(guarded: Broker, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("wrong-" + SECRET)
    results = examined(guarded.port, tmp_path, username=DEVICE, password_file=wrong)
    assert states(results) == dict.fromkeys(CHECKS, "skipped") | {"broker": "ok", "credentials": "failure"}
    assert "the name or the password is wrong" in results["credentials"].finding
    assert str(wrong) in str(results["credentials"].remedy)


def test_a_password_that_nobody_configured_is_told_from_a_wrong_one(guarded: Broker, tmp_path: Path) -> None:
    results = examined(guarded.port, tmp_path, username=DEVICE)
    assert results["credentials"].finding.endswith("no password is configured")
    assert "edge-agender.mqtt-password" in str(results["credentials"].remedy)


def test_the_credential_of_the_unit_is_used(guarded: Broker, tmp_path: Path) -> None:
    store = tmp_path / "etc/credstore"
    store.mkdir(parents=True)
    (store / "edge-agender.mqtt-password").write_text(SECRET)
    assert examined(guarded.port, tmp_path, username=DEVICE)["credentials"].state == "ok"


def test_a_missing_password_file_is_a_failure(guarded: Broker, tmp_path: Path) -> None:
    results = examined(guarded.port, tmp_path, username=DEVICE, password_file=tmp_path / "none")
    assert results["credentials"].state == "failure"
    assert "No such file" in results["credentials"].finding


def test_no_broker(tmp_path: Path) -> None:
    results = examined(free_port(), tmp_path)
    assert states(results) == dict.fromkeys(CHECKS, "skipped") | {"broker": "failure"}
    assert results["broker"].finding.endswith("nothing listens there")
    assert "Start the broker" in str(results["broker"].remedy)


def test_an_unknown_host(tmp_path: Path) -> None:
    results = examined(1883, tmp_path, host="no.such.host.invalid")
    assert "unknown host" in results["broker"].finding


def test_a_port_that_speaks_no_mqtt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(diagnose, "ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        results = examined(server.getsockname()[1], tmp_path, host="127.0.0.1")
    assert (results["broker"].state, results["credentials"].state) == ("ok", "failure")
    assert "does not answer" in results["credentials"].finding


def test_an_acl_that_forbids_the_own_topics(guarded: Broker, password: Path, tmp_path: Path) -> None:
    results = examined(guarded.port, tmp_path, username="mute", password_file=password)
    assert (results["credentials"].state, results["publish"].state) == ("ok", "failure")
    assert f"edge-agender/{DEVICE}/#" in str(results["publish"].remedy)


def test_an_acl_that_allows_too_much(guarded: Broker, password: Path, tmp_path: Path) -> None:
    results = examined(guarded.port, tmp_path, username="boss", password_file=password)
    assert (results["publish"].state, results["isolation"].state) == ("ok", "warning")
    assert "docs/mosquitto.acl" in str(results["isolation"].remedy)


@pytest.mark.parametrize("hangs_up", [True, False])
def test_a_broker_that_does_not_answer_a_message(monkeypatch: pytest.MonkeyPatch, hangs_up: bool) -> None:
    """Hanging up is how Mosquitto 2.0.11 refuses, at times without an answer."""
    monkeypatch.setattr(mqtt_connection, "CONNECT_TIMEOUT_S", 30.0)

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(bytes([0x20, 3, 0, 0, 0]))  # CONNACK
            connection.recv(1000)
            if not hangs_up:
                connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        with BrokerProbe(settings(server.getsockname()[1], host="127.0.0.1"), "d") as visit:
            if not hangs_up:
                monkeypatch.setattr(mqtt_connection, "CONNECT_TIMEOUT_S", 0.3)
            assert visit.publish("p/d/doctor") == ("refused" if hangs_up else "silent")
        thread.join()


def test_a_broker_that_refuses_the_second_visit_costs_no_result_of_the_first(
    guarded: Broker, password: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter, entered = BrokerProbe.__enter__, []

    def enter_once(visit: BrokerProbe) -> BrokerProbe:
        entered.append(visit)
        if len(entered) > 1:
            raise CredentialError("broker x: it hung up: renew the certificate")
        return enter(visit)

    monkeypatch.setattr(BrokerProbe, "__enter__", enter_once)
    told = examined(guarded.port, tmp_path, username=DEVICE, password_file=password)
    assert (told["publish"].state, told["isolation"].state) == ("ok", "failure")


def test_before_mqtt_5_permissions_cannot_be_told(guarded: Broker, password: Path, tmp_path: Path) -> None:
    results = examined(guarded.port, tmp_path, username="mute", password_file=password, protocol="3.1.1")
    assert (results["publish"].state, results["isolation"].state) == ("skipped", "skipped")
    assert "3.1.1" in results["publish"].finding


def test_what_it_says_to_the_broker_is_next_to_nothing(open_broker: Broker, tmp_path: Path) -> None:
    with Ear(open_broker.port) as ear:
        results = examined(open_broker.port, tmp_path)
        ear.say("after", "")
        wait_until(lambda: any(message.topic == "after" for message in ear.heard))
        heard = {m.topic: (m.payload, m.properties.MessageExpiryInterval) for m in ear.heard if m.topic != "after"}
    with Ear(open_broker.port, name="late") as late:
        late.say("after", "")
        wait_until(lambda: late.heard)
        assert [message.topic for message in late.heard] == ["after"]
    assert results["credentials"].finding == "accepted without a user name"
    assert heard == {
        f"edge-agender/{DEVICE}/doctor": (b"{}", 1),
        f"edge-agender/not-{DEVICE}/doctor": (b"{}", 1),
    }


def tls_broker(folder: Path, authority: Authority, days: int, *more: str) -> Broker:
    certificate_file, key = authority.certificate(f"server{days}", "localhost", days)
    files = [f"cafile {authority.ca}", f"certfile {certificate_file}", f"keyfile {key}"]
    return Broker(folder, [*files, "allow_anonymous true", *more])


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), days=400)


@pytest.mark.parametrize(
    ("days", "state", "says"),
    [
        (300, "ok", "valid for 30 days or more"),
        (9, "warning", "the broker's certificate expires on"),
        (-1, "failure", "its certificate expired"),
    ],
)
def test_the_life_of_a_certificate(lasting: Authority, tmp_path: Path, days: int, state: str, says: str) -> None:
    with running(tls_broker(tmp_path / "broker", lasting, days)) as broker:
        results = examined(broker.port, tmp_path, tls=TlsConfig(ca_file=lasting.ca))
    assert results["tls"].state == state
    assert says in results["tls"].finding
    assert results["credentials"].state == ("skipped" if state == "failure" else "ok")


def test_a_ca_and_a_client_certificate_that_expire_soon(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca", days=20)
    ours, key = authority.certificate("device", "device", days=10)
    with running(tls_broker(tmp_path / "broker", authority, 15, "require_certificate true")) as broker:
        tls = TlsConfig(ca_file=authority.ca, certificate_file=ours, key_file=key)
        config = Config(device=DeviceConfig(name=DEVICE), mqtt=settings(broker.port, tls=tls))
        results = [result for result in check_broker(config, Place(tmp_path)) if result.check == "tls"]
        without = examined(broker.port, tmp_path, tls=TlsConfig(ca_file=authority.ca))
    assert {result.state for result in results} == {"warning"}
    whose = [result.finding.partition(" expires")[0] for result in results]
    assert whose == ["the broker's certificate", "the broker's CA", "this device's certificate"]
    assert [without[name].state for name in ("broker", "credentials")] == ["ok", "failure"]
    assert "certificate_file" in without["credentials"].finding + str(without["credentials"].remedy)


def test_a_ca_that_did_not_sign_and_a_broker_that_nobody_checks(lasting: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    with running(tls_broker(tmp_path / "broker", lasting, 200)) as broker:
        refused = examined(broker.port, tmp_path, tls=TlsConfig(ca_file=stranger.ca))
        unchecked = examined(broker.port, tmp_path, tls=TlsConfig(enabled=True, insecure=True))
    assert refused["tls"].state == "failure"
    assert "not signed by the CA" in refused["tls"].finding
    assert (unchecked["tls"].state, unchecked["credentials"].state) == ("warning", "ok")


def test_a_certificate_s_end_is_read_as_openssl_wrote_it(lasting: Authority) -> None:
    for days in (1, 7300, 12000):  # the last in the form for years from 2050 on
        path, _ = lasting.certificate(f"years{days}", "localhost", days)
        (der,) = certificate.in_file(path)
        wanted = datetime.now(UTC) + timedelta(days=days)
        assert abs(certificate.expiry(der) - wanted) < timedelta(minutes=10)


def test_no_tls_is_a_warning_beyond_this_machine() -> None:
    from edge_agender.commands.doctor.broker import _without_tls

    assert _without_tls(settings(1883, host="broker.local", username="d")).state == "warning"
    assert _without_tls(settings(1883, host="127.0.0.1")).state == "skipped"
