"""The whole on loopback: a Mosquitto that it configures, devices with the real outbox and publisher."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from edge_agender.config.settings import MqttConfig, OutboxConfig
from edge_agender.delivery.inbox import Resends
from edge_agender.delivery.mqtt.publisher import Publisher
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.fleet import serving
from edge_agender.fleet.enrolment import enrol, expire, revoke
from edge_agender.fleet.serving import Fleet
from edge_agender.fleet.settings import FleetConfig
from edge_agender.messages.message import Message
from tests.fleet.messages import BOOT, PREFIX, health, status, window
from tests.support.broker import free_port, needs_mosquitto, wait_until
from tests.support.outbox_tools import take_all

pytestmark = needs_mosquitto


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setattr(serving, "TURN_S", 0.05)
    monkeypatch.setattr(serving, "HEAL_EVERY_S", 0.05)
    config = FleetConfig(
        folder=tmp_path, own={"port": free_port()}, page={"enabled": False}, heal={"after_s": 0.1, "every_s": 6}
    )
    with Fleet(config) as running:
        yield running


def message(payload: dict[str, Any], durable: bool = True) -> Message:
    kind = payload["schema"].removeprefix("edge-agender.")
    topic = f"{PREFIX}/{payload['device']}/{kind}"
    return Message(kind, topic, json.dumps(payload).encode(), 1, kind == "status", durable)


@contextmanager
def device(fleet: Fleet, folder: Path, name: str = "lobby") -> Iterator[tuple[Outbox, ExitStack]]:
    """An enrolled device. What enters the stack after the outbox is the test's: `connect` is not called yet."""
    token = enrol(fleet.database, fleet.config, name, "default", "", None, 0.0)
    folder.mkdir(exist_ok=True)
    (folder / "password").write_text(token.password)
    with ExitStack() as stack:
        yield stack.enter_context(Outbox(OutboxConfig(path=folder, replay_rate_hz=1000))), stack


def connect(fleet: Fleet, folder: Path, outbox: Outbox, stack: ExitStack, name: str = "lobby") -> Publisher:
    mqtt = MqttConfig(
        **{"host": "127.0.0.1", "port": fleet.config.own.port, "username": name, "password_file": folder / "password"}
    )
    publisher = Publisher(mqtt, name, outbox, lambda state: message(status(state, name), durable=False))
    publisher.subscribe(f"{PREFIX}/{name}/resend", Resends(outbox.send_again).take)
    return stack.enter_context(publisher)


def count(fleet: Fleet, sql: str) -> int:
    with fleet.database.reading() as transaction:
        return int(transaction.rows(sql)[0][0])


def test_what_a_broker_lost_is_asked_for_and_comes(fleet: Fleet, tmp_path: Path) -> None:
    """Two messages in the middle and the last one were acknowledged, and never reach the collector."""
    folder = tmp_path / "device"
    with device(fleet, folder) as (outbox, stack):
        for number in range(6):
            outbox.put(message(window(number)))
        for number, (entry, _) in enumerate(take_all(outbox)):
            if number in (2, 3, 5):
                outbox.acknowledge(entry)
        outbox.rewind()
        connect(fleet, folder, outbox, stack)
        outbox.put(message(health({"window": 5}), durable=False))
        wait_until(lambda: count(fleet, "SELECT count(*) FROM message") == 6, what="all six are stored")
        assert count(fleet, "SELECT count(*) FROM gap") == 0
    assert count(fleet, "SELECT sum(viewers) FROM audience_window") == 36


def test_the_broker_is_killed_with_its_memory_and_what_it_lost_heals(fleet: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "device"
    assert fleet.broker is not None
    with device(fleet, folder) as (outbox, stack):
        connect(fleet, folder, outbox, stack)
        outbox.put(message(window(0)))
        wait_until(lambda: count(fleet, "SELECT count(*) FROM message") == 1)
        os.kill(fleet.broker.pid, signal.SIGKILL)
        for number in range(1, 4):
            outbox.put(message(window(number)))

        def said() -> bool:
            """A device says its last numbers again and again, as health does each minute."""
            outbox.put(message(health({"window": 3}), durable=False))
            time.sleep(0.2)
            return count(fleet, "SELECT count(*) FROM message") == 4

        wait_until(said, what="all four are stored")
    assert fleet.broker.restarts == 1


def test_a_device_cannot_speak_for_another_nor_after_it_was_revoked(fleet: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "device"
    with device(fleet, folder) as (outbox, stack):
        connect(fleet, folder, outbox, stack)
        outbox.put(message(window(0, device="bakery")))
        outbox.put(message(window(0)))
        wait_until(lambda: count(fleet, "SELECT count(*) FROM message") == 1)
    assert count(fleet, "SELECT count(*) FROM message WHERE device = 'bakery'") == 0
    revoke(fleet.database, fleet.config, "lobby", 1.0)
    password = (folder / "password").read_text()

    def refused() -> bool:
        answers: list[Any] = []
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, "lobby-again")
        client.username_pw_set("lobby", password)
        client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
        client.connect("127.0.0.1", fleet.config.own.port)
        while not answers:
            client.loop(0.1)
        client.disconnect()
        return bool(answers[0].is_failure)

    wait_until(refused, what="the revoked device is refused")


def test_poison_is_put_aside_and_what_comes_after_it_is_stored(fleet: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "device"
    with device(fleet, folder) as (outbox, stack):
        publisher = connect(fleet, folder, outbox, stack)
        topic = f"{PREFIX}/lobby/window"
        for poison in (b"", b"\xff\x00", b"[" * 50_000, b'{"device": "lobby"}', b"9" * 5000):
            outbox.put(Message("window", topic, poison, 1, False, True))
        outbox.put(message(window(0, boot_id=BOOT)))
        wait_until(lambda: count(fleet, "SELECT count(*) FROM message") == 1)
        assert publisher.state().connected
    assert count(fleet, "SELECT count(*) FROM refused") == 5
    assert fleet.troubles() == []


def test_a_credential_ends_when_its_days_are_over(fleet: Fleet) -> None:
    assert fleet.broker is not None
    passwords = fleet.broker.credentials.folder / "passwords"
    enrol(fleet.database, fleet.config, "guest", "default", "", 7, 0.0)
    assert "guest:" in passwords.read_text()
    assert expire(fleet.database, fleet.config, 6 * 86400) == []
    assert expire(fleet.database, fleet.config, 7 * 86400) == ["guest"]
    assert "guest:" not in passwords.read_text()
    assert expire(fleet.database, fleet.config, 8 * 86400) == []


def test_a_backlog_of_hours_does_not_hold_up_a_stop(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 devices on a busy machine: there is always another hour to make."""
    made = threading.Event()

    def endless(*_: object) -> int:
        made.set()
        return 1

    monkeypatch.setattr(serving, "roll_up", endless)
    stop = threading.Event()
    worker = threading.Thread(target=fleet.housekeeper.run, args=(stop,), daemon=True)
    worker.start()
    assert made.wait(60)
    stop.set()
    worker.join(60)
    assert not worker.is_alive()
