"""The page's server over real sockets."""

import base64
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from edge_agender import web
from edge_agender.common.attempts import REMEMBERED_ADDRESSES, TRIES, TRIES_PERIOD_S, Attempts
from edge_agender.config.load import validate
from edge_agender.config.settings import WebConfig, is_loopback
from edge_agender.errors import ConfigError, CredentialError
from edge_agender.web import access, server
from edge_agender.web.snapshot import LiveState
from tests.support.broker import wait_until
from tests.support.paths import ROOT
from tests.support.snapshots import snapshot

PASSWORD = "correct horse battery"


@pytest.fixture
def live() -> LiveState:
    state = LiveState()
    state.update(snapshot())
    return state


@pytest.fixture
def page(live: LiveState) -> Iterator[server.StatusServer]:
    with web.serve(WebConfig(port=0), live) as running:
        assert running is not None
        yield running


@pytest.fixture
def locked(live: LiveState, tmp_path: Path) -> Iterator[server.StatusServer]:
    file = tmp_path / "web-password"
    file.write_text(f"{PASSWORD}\n")
    with web.serve(WebConfig(port=0, password_file=file), live) as running:
        assert running is not None
        yield running


def get(page: server.StatusServer, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    connection = HTTPConnection("127.0.0.1", page.port, timeout=60)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def basic(password: str, user: str = "anyone") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def event(response: HTTPResponse) -> dict[str, object]:
    while True:
        line = response.fp.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            return dict(json.loads(line.removeprefix(b"data: ")))


def test_every_file_of_the_page_is_served_and_small(page: server.StatusServer) -> None:
    total = 0
    for path, (_, kind) in server.FILES.items():
        response = get(page, path)
        body = response.read()
        assert (response.status, response.headers["Content-Type"]) == (200, kind)
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in body
        total += len(body)
    assert total < 60_000


def test_no_response_can_hold_a_picture(page: server.StatusServer) -> None:
    for path in ("/", "/status.json", "/metrics", "/healthz", "/nothing"):
        kind = get(page, path).headers["Content-Type"].split(";")[0]
        assert kind in {"text/html", "application/json", "text/plain"}
    names = {file.name for file in Path(server.__file__).parent.joinpath("static").iterdir()}
    assert names == {name for name, _ in server.FILES.values()}


def test_headers_forbid_foreign_code_and_frames(page: server.StatusServer) -> None:
    headers = get(page, "/").headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Python" not in headers["Server"]


def test_the_state_is_there_as_json(page: server.StatusServer) -> None:
    state = json.loads(get(page, "/status.json").read())
    assert state["camera"]["alive"] is True
    assert state["latency_ms"] == 42
    assert state["board"]["memory_mb"] == 98
    assert state["demographics"][0]["cells"]["female"] == {"18-24": [5, 2.0], "25-34": [0, 2.0]}
    assert "faces" not in state


def test_events_follow_the_state(page: server.StatusServer, live: LiveState) -> None:
    stream = get(page, "/events")
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    assert event(stream)["people"] == 2
    live.update(snapshot(people=5))
    wait_until(lambda: event(stream)["people"] == 5)


def test_the_aim_view_shows_boxes_and_rules_and_asks_for_faces(page: server.StatusServer, live: LiveState) -> None:
    stream = get(page, "/events?view=aim")
    state = event(stream)
    assert live.wants_faces
    assert state["aspect"] == pytest.approx(4 / 3, abs=1e-3)
    assert {rule["name"] for rule in state["rules"]} >= {"size", "tilt", "height"}  # type: ignore[attr-defined]
    face = state["faces"][0]  # type: ignore[index]
    assert not {"age", "years", "gender", "id", "track_id"} & set(face)


def test_the_aim_view_can_be_switched_off(live: LiveState) -> None:
    with web.serve(WebConfig(port=0, aim=False), live) as running:
        assert running is not None
        state = event(get(running, "/events?view=aim"))
        assert "faces" not in state
        assert not live.wants_faces


def test_health_says_what_is_wrong(page: server.StatusServer, live: LiveState) -> None:
    assert get(page, "/healthz").status == 200
    live.update(snapshot(last_frame_s=time.monotonic() - 60))
    response = get(page, "/healthz")
    assert response.status == 503
    assert json.loads(response.read()) == {"status": "failing", "state": "stalled"}
    live.update(snapshot(camera_problem="no camera"))
    assert get(page, "/healthz").status == 503
    live.update(snapshot(enabled=False, last_frame_s=None))
    assert get(page, "/healthz").status == 200


def test_before_the_first_snapshot_the_page_says_so() -> None:
    with web.serve(WebConfig(port=0), LiveState()) as running:
        assert running is not None
        assert json.loads(get(running, "/status.json").read()) == {"ready": False}
        assert get(running, "/healthz").status == 503
        assert get(running, "/metrics").status == 200


def test_metrics_are_in_base_units_and_parse(page: server.StatusServer) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    text = get(page, "/metrics").read().decode()
    values = {
        sample.name: sample.value for family in parser.text_string_to_metric_families(text) for sample in family.samples
    }
    assert values["edge_agender_people"] == 2
    assert values["edge_agender_frames_captured_total"] == 54_000
    assert values["edge_agender_latency_seconds"] == pytest.approx(0.0421)
    assert values["edge_agender_resident_memory_bytes"] == 98e6
    assert values["edge_agender_throttled"] == 0
    assert values["edge_agender_broker_connected"] == 1
    assert values["edge_agender_build_info"] == 1
    assert (values["edge_agender_camera_restarts_total"], values["edge_agender_messages_dropped_total"]) == (3, 17)


def test_the_documentation_names_every_metric(page: server.StatusServer) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    text = get(page, "/metrics").read().decode()
    names = {sample.name for family in parser.text_string_to_metric_families(text) for sample in family.samples}
    section = (ROOT / "docs/install.md").read_text().partition("Metrics are named")[2]
    told = {f"edge_agender_{name}" for name in re.findall(r"`([a-z_]+)`", section.partition("## ")[0])}
    assert told - {"edge_agender_frame"} == names


def test_what_is_not_released_is_no_metric(page: server.StatusServer, live: LiveState) -> None:
    pytest.importorskip("prometheus_client")
    live.update(snapshot(people=None, temperature_c=None))
    text = get(page, "/metrics").read().decode()
    assert "edge_agender_people" not in text
    assert "temperature" not in text


def test_a_foreign_host_name_is_refused(page: server.StatusServer) -> None:
    for host in ("evil.example", "localhost.evil.example", "evil.example:8080", ""):
        assert get(page, "/status.json", Host=host).status == 421
    for host in ("localhost", "127.0.0.1:8080", "[::1]:8080", "192.168.1.7", socket.gethostname()):
        assert get(page, "/status.json", Host=host).status == 200


def test_only_reading_is_possible(page: server.StatusServer) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert get(page, "/status.json", method).status == 501
    assert get(page, "/../server.py").status == 404
    head = get(page, "/", "HEAD")
    assert int(head.headers["Content-Length"]) > 1000
    assert head.read() == b""


def test_the_password_is_needed_for_everything_but_the_probe(locked: server.StatusServer) -> None:
    for path in ("/", "/status.json", "/events", "/metrics", "/page.js"):
        response = get(locked, path)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic")
        assert get(locked, path, "HEAD", Authorization=basic(PASSWORD)).status == 200
    assert get(locked, "/healthz").status == 200


def test_wrong_passwords_are_refused_and_then_slowed_down(locked: server.StatusServer) -> None:
    wrong = ["Basic !!!", "Bearer x", basic("wrong"), basic(PASSWORD + "x"), basic("")]
    assert [get(locked, "/", Authorization=given).status for given in wrong] == [401] * TRIES
    refused = get(locked, "/", Authorization=basic(PASSWORD))
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 61


def test_tries_are_forgiven_after_a_while_and_memory_is_bounded() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(TRIES):
        attempts.failed("a")
    assert attempts.wait_s("a") == TRIES_PERIOD_S
    assert attempts.wait_s("b") == 0
    now[0] = TRIES_PERIOD_S + 1
    assert attempts.wait_s("a") == 0
    for number in range(10 * REMEMBERED_ADDRESSES):
        attempts.failed(str(number))
    assert len(attempts._failures) == REMEMBERED_ADDRESSES


@pytest.mark.parametrize("content", ["", "\n\n", "short", "       \nlong enough on the second line"])
def test_a_poor_password_file_is_an_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "web-password"
    file.write_text(content)
    with pytest.raises(CredentialError, match="at least 8"):
        access.read_password(file)


def test_a_missing_password_file_is_an_error(tmp_path: Path, live: LiveState) -> None:
    with (
        pytest.raises(CredentialError, match="No such file"),
        web.serve(WebConfig(port=0, password_file=tmp_path / "none"), live),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("[::1]", True), ("10.0.0.1", False), ("broker", False),
     ("127.0.0.1.evil.example", False), ("127.shop.example", False), ("127.1", False)],
)  # fmt: skip
def test_what_is_this_device(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_beyond_loopback_a_password_is_demanded() -> None:
    for host in ("0.0.0.0", "192.168.1.7", "::", "127.shop.example", "127.0.0.1.nip.io", "localhost.example"):
        with pytest.raises(ConfigError, match="password_file"):
            validate({"web": {"host": host}}, "config.yaml")
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "::1"):
        validate({"web": {"host": host}}, "config.yaml")


def test_a_taken_port_is_one_warning(page: server.StatusServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), web.serve(WebConfig(port=page.port), LiveState()) as second:
        assert second is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "web.port" in caplog.text


def test_a_disabled_page_listens_nowhere() -> None:
    with web.serve(WebConfig(enabled=False), LiveState()) as running:
        assert running is None


def test_connections_are_bounded_and_come_back(page: server.StatusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 600.0)
    monkeypatch.setattr(server.Handler, "timeout", 600.0)
    idle = [socket.create_connection(("127.0.0.1", page.port), 60) for _ in range(server.MAX_CONNECTIONS)]
    wait_until(lambda: get_or_none(page) in (503, None))
    for connection in idle:
        connection.close()
    wait_until(lambda: get_or_none(page) == 200)


def get_or_none(page: server.StatusServer) -> int | None:
    try:
        return get(page, "/healthz").status
    except OSError:
        return None


def test_a_trickling_client_is_cut_off(live: LiveState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 0.3)
    with web.serve(WebConfig(port=0), live) as running, socket.socket() as client:
        assert running is not None
        client.settimeout(60)
        client.connect(("127.0.0.1", running.port))
        # Reset, where this machine lets the client speak only after it was cut off.
        with suppress(ConnectionError):
            client.sendall(b"GET / HTTP/1.1\r\n")
            assert client.recv(100) == b""


def test_streams_are_bounded(page: server.StatusServer) -> None:
    streams = [get(page, "/events") for _ in range(server.MAX_STREAMS)]
    assert get(page, "/events").status == 503
    assert {stream.status for stream in streams} == {200}


def test_stopping_ends_open_streams(live: LiveState) -> None:
    with web.serve(WebConfig(port=0), live) as running:
        assert running is not None
        stream = get(running, "/events")
        event(stream)
    stream.read()  # to its end, which it would not have
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", running.port), 60)
