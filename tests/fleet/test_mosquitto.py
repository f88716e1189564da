"""Who may log in at our Mosquitto, whatever happens while that is written down."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import paho.mqtt.client as paho
import pytest

from edge_agender.errors import BrokerError
from edge_agender.fleet import mosquitto
from edge_agender.fleet.enrolment import enrol, expire
from edge_agender.fleet.mosquitto import COLLECTOR, Credentials, OwnBroker
from edge_agender.fleet.settings import FleetConfig, OwnBrokerConfig
from edge_agender.fleet.store import open_database
from tests.fleet.messages import PREFIX
from tests.support.broker import free_port, needs_mosquitto, wait_until

pytestmark = needs_mosquitto


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    made = Credentials(tmp_path, "edge-agender")
    made.prepare()
    made.put("lobby", "one")
    return made


def fail(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device", "mosquitto.conf")


def test_many_enrolments_at_once_lose_nobody(credentials: Credentials) -> None:
    names = [f"box-{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: Credentials(credentials.folder, "edge-agender").put(name, "secret"), names))
    assert credentials.users() == {COLLECTOR, "lobby", *names}
    credentials.remove("lobby")
    assert credentials.users() == {COLLECTOR, *names}


def test_a_full_disk_costs_nobodys_login(credentials: Credentials, tmp_path: Path) -> None:
    """A program that wrote half of the file, as it does where there is no more room."""
    program = tmp_path / "half"
    program.write_text('#!/bin/sh\nhead -c 20 "$1" > "$1.half"; mv "$1.half" "$1"\n')
    program.chmod(0o755)
    credentials._programs = mosquitto.Programs("", str(program))
    with pytest.raises(BrokerError, match="room on the disk"):
        credentials.put("bakery", "two")
    assert credentials.users() == {COLLECTOR, "lobby"}
    assert not list(tmp_path.glob("tmp*"))


def test_a_login_that_a_full_disk_keeps_is_not_shown_as_revoked_and_is_ended_later(
    credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FleetConfig(folder=tmp_path)
    database = open_database(f"sqlite:///{tmp_path / 'fleet.sqlite3'}")
    enrol(database, config, "guest", "acme", "north", 7, 0.0)
    with monkeypatch.context() as full:
        full.setattr(mosquitto, "replace_file", fail)
        with pytest.raises(OSError, match="No space"):
            expire(database, config, 8 * 86400)
    assert expire(database, config, 8 * 86400) == ["guest"]
    assert "guest" not in Credentials(tmp_path / "mosquitto", config.prefix).users()
    database.close()


def test_a_start_writes_only_what_is_new(credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in credentials.folder.iterdir()}
    monkeypatch.setattr(mosquitto, "replace_file", fail)
    again = Credentials(credentials.folder, "edge-agender")
    assert again.prepare() == credentials.prepare()
    assert {path.name: path.stat().st_mtime_ns for path in credentials.folder.iterdir()} == before


def test_a_broker_starts_again_though_its_number_cannot_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosquitto, "RESTART_S", 0.05)
    with OwnBroker(OwnBrokerConfig(port=free_port()), tmp_path, "edge-agender") as broker:
        monkeypatch.setattr(mosquitto, "write_if_changed", fail)
        former = broker.pid
        os.kill(former, 9)
        wait_until(lambda: broker.restarts == 1 and broker.pid not in (0, former), what="another one")


def test_a_broker_that_is_ended_while_it_is_started_again_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher is about to start another one: by then the end has found none to stop."""
    monkeypatch.setattr(mosquitto, "RESTART_S", 0.0)
    broker, starting, ended = OwnBroker(OwnBrokerConfig(port=free_port()), tmp_path, "edge-agender"), Event(), Event()
    real = subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []

    def start(command: Sequence[str], **how: bool) -> subprocess.Popen[bytes]:
        started.append(real(command, **how))  # type: ignore[call-overload]
        return started[-1]

    def find() -> None:
        starting.set()
        ended.wait(30)

    with broker:
        monkeypatch.setattr(mosquitto.subprocess, "Popen", start)
        monkeypatch.setattr(mosquitto._log, "error", lambda *_: find())
        os.kill(broker.pid, 9)
        assert starting.wait(30)
        Thread(target=lambda: (broker._ends.wait(30), ended.set())).start()
    assert not [one for one in started if one.poll() is None]


class Client:
    """A context manager: one connection, with a lasting session unless `clean`."""

    def __init__(self, broker: OwnBroker, port: int, user: str, password: str, name: str, clean: bool = False) -> None:
        how = {"protocol": paho.MQTTv311, "clean_session": clean, "reconnect_on_failure": False}
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, **how)  # type: ignore[misc]
        self._client.username_pw_set(user, password)
        self._listens, self._ended, self.heard, self.taken = Event(), Event(), Counter[str](), 0
        self._client.on_subscribe = lambda *_: self._listens.set()
        self._client.on_message = lambda _client, _data, message: self.heard.update([message.topic])
        self._client.on_publish = lambda *_: self._count()
        self._client.on_disconnect = lambda *_: self._ended.set()
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Client:
        self._client.loop_start()
        wait_until(self._client.is_connected)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _count(self) -> None:
        self.taken += 1

    def listen(self, topic: str) -> None:
        self._client.subscribe(topic, 1)
        assert self._listens.wait(30)

    def send(self, topics: Sequence[str], retain: bool = False) -> None:
        """Send ten kilobytes to each; return once the broker has taken them all, or has had enough."""
        wanted = self.taken + len(topics)
        for topic in topics:
            self._client.publish(topic, b"x" * 10_000, 1, retain)
        wait_until(lambda: self.taken >= wanted or self._ended.is_set())


def lets_in(broker: OwnBroker, port: int, user: str, password: str) -> bool:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "asks")
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", port)
    while client.loop(1.0) == paho.MQTT_ERR_SUCCESS and not client.is_connected():
        pass
    let_in = client.is_connected()
    client.disconnect()
    return let_in


def saved_bytes(broker: OwnBroker) -> int:
    """What the broker has on the disk, once it has saved all that it holds now."""
    file, now_s = broker.credentials.folder / "mosquitto.db", time.time()
    wait_until(lambda: file.exists() and file.stat().st_mtime > now_s, what="it saves every second")
    return file.stat().st_size


def test_a_device_that_floods_fills_no_disk_and_ends_nobodys_session(tmp_path: Path) -> None:
    """4 MB at a broker that keeps 0.2 MB for a collector that is away, by a device with a login."""
    port, topics = free_port(), f"{PREFIX}/rogue"
    with OwnBroker(OwnBrokerConfig(port=port, queued_mb=0.2), tmp_path, PREFIX) as broker:
        collector = (broker, port, COLLECTOR, broker.password, broker.client_id)
        with Client(*collector) as ours:
            ours.listen(f"{PREFIX}/+/window")
        broker.credentials.put("rogue", "secret")
        broker.reload()
        wait_until(lambda: lets_in(broker, port, "rogue", "secret"))
        for topic, retain in (
            ([f"{topics}/{number}" for number in range(200)], True),
            ([f"{topics}/window"] * 400, False),
        ):
            with Client(broker, port, "rogue", "secret", "anything") as rogue:
                rogue.send(topic, retain)
        assert saved_bytes(broker) < 1_000_000
        with Client(broker, port, "rogue", "secret", COLLECTOR, clean=True):
            pass
        with Client(*collector) as ours:
            ours.listen(f"{PREFIX}/#")
            wait_until(lambda: ours.heard[f"{topics}/window"] >= 10, what="what it kept comes")
            assert set(ours.heard) == {f"{topics}/window"}, "nothing retained on topics that devices do not have"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files are given to another user")
def test_what_an_administrator_enrols_the_service_can_read(credentials: Credentials) -> None:
    os.chown(credentials.folder, 65534, 65534)
    credentials.put("bakery", "two")
    found = (credentials.folder / "passwords").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (65534, 0o600)
