"""Collection from a real NATS: everything acknowledged to a device is delivered, again and again until acknowledged."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import nats
import paho.mqtt.client as paho
import pytest
from nats.errors import Error as NatsError

from edge_agender.config.token import Token
from edge_agender.fleet.enrolment import nats_user
from edge_agender.fleet.jetstream import JetStreamSource
from edge_agender.fleet.records import Arrival
from edge_agender.fleet.settings import NatsConfig
from edge_agender.messages.commands import COMMANDS
from edge_agender.messages.contract import PAYLOADS
from proofs.fleet.servers import PASSWORD, USER, Nats, NotHereError
from tests.fleet.messages import PREFIX, health, window
from tests.support.broker import wait_until
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow
TOKEN = Token(name="lobby", hosts=("node-1:1883",), password="CHANGE-ME", prefix=PREFIX, protocol="3.1.1")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Nats]:
    try:
        cluster = Nats(tmp_path, count=1)
    except NotHereError as error:
        pytest.skip(str(error))
    with cluster:
        yield cluster


@pytest.fixture
def config(node: Nats, tmp_path: Path) -> NatsConfig:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return NatsConfig(
        servers=tuple(node.clients), user=USER, password_file=tmp_path / "password", mqtt_addresses=tuple(node.mqtt)
    )


def take(source: JetStreamSource, count: int) -> list[Arrival]:
    found: list[Arrival] = []

    def enough() -> bool:
        found.extend(source.take(100, 0.2))
        return len(found) >= count

    wait_until(enough, what=f"{count} messages")
    return found


def send(node: Nats, *payloads: dict[str, object]) -> None:
    """Return once the node has acknowledged them, as a device would wait."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "lobby", protocol=paho.MQTTv311)
    client.username_pw_set(USER, PASSWORD)
    client.connect("127.0.0.1", node.nodes[0].mqtt_port)
    client.loop_start()
    for payload in payloads:
        kind = str(payload["schema"]).removeprefix("edge-agender.")
        client.publish(f"{PREFIX}/lobby/{kind}", json.dumps(payload), qos=int(kind == "window")).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def test_what_was_acknowledged_to_a_device_comes_until_it_is_stored(node: Nats, config: NatsConfig) -> None:
    with JetStreamSource(config, PREFIX) as source:
        source.wait(60)
        send(node, window(0), window(1), health({"window": 1}))
        found = take(source, 3)
        assert sorted(one.topic for one in found) == [
            f"{PREFIX}/lobby/{kind}" for kind in ("health", "window", "window")
        ]
        assert source.lag() == 2
        source.acknowledge(found)
        wait_until(lambda: source.lag() == 0, what="both are acknowledged")
        assert source.take(10, 0.2) == []


def test_what_came_while_no_collector_was_there_waits_for_the_next(node: Nats, config: NatsConfig) -> None:
    with JetStreamSource(config, PREFIX) as source:
        source.wait(60)
    send(node, window(0))
    with JetStreamSource(config, PREFIX) as source:
        assert [json.loads(one.payload)["sequence"] for one in take(source, 1)] == [0]


def test_a_flood_is_not_acknowledged_and_no_other_device_is_held_up(node: Nats, config: NatsConfig) -> None:
    """Nobody collects meanwhile, which is when a disk fills."""
    with JetStreamSource(config.model_copy(update={"queued_messages": 20, "queued_mb": 1.0}), PREFIX) as source:
        source.wait(60)
        rogue = Mqtt(node, USER, PASSWORD, "rogue")
        rogue.send([f"{PREFIX}/rogue/window"] * 50)
        assert rogue.ended.is_set(), "what is refused is not acknowledged"
        send(node, window(0))
        retained = Mqtt(node, USER, PASSWORD, "rogue")
        retained.send([f"{PREFIX}/rogue/{number}" for number in range(200)], retain=True)
        assert 0 < kept_bytes(node, "$MQTT_rmsgs") <= 100_000
        found = take(source, 21)
        assert sum(one.topic == f"{PREFIX}/rogue/window" for one in found) == 20
        source.acknowledge(found)
        wait_until(lambda: source.lag() == 0)
        send(node, window(1))
        assert [json.loads(one.payload)["sequence"] for one in take(source, 1)] == [1]


def kept_bytes(node: Nats, stream: str) -> int:
    async def ask() -> int:
        client = await nats.connect(node.clients, user=USER, password=PASSWORD)
        try:
            return int((await client.jetstream().stream_info(stream)).state.bytes)
        finally:
            await client.close()

    return asyncio.run(ask())


class Mqtt:
    """One connection by MQTT; `taken`: how many of its messages were acknowledged."""

    def __init__(self, node: Nats, user: str, password: str, name: str) -> None:
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv311, reconnect_on_failure=False
        )
        self.client.username_pw_set(user, password)
        self.taken, self.ended, self.granted, self.heard = 0, Event(), list[int](), list[str]()
        self.client.on_publish = lambda *_: self._count()
        self.client.on_disconnect = lambda *_: self.ended.set()
        self.client.on_subscribe = lambda _client, _data, _mid, reasons, _: self.granted.extend(
            one.value for one in reasons
        )
        self.client.on_message = lambda _client, _data, message: self.heard.append(message.topic)
        self.client.connect("127.0.0.1", node.nodes[0].mqtt_port)
        self.client.loop_start()
        wait_until(self.client.is_connected)

    def _count(self) -> None:
        self.taken += 1

    def send(self, topics: Sequence[str], retain: bool = False) -> None:
        """Return once all are acknowledged, or the node has hung up."""
        wanted = self.taken + len(topics)
        for topic in topics:
            self.client.publish(topic, b"x" * 1000, 1, retain)
        wait_until(lambda: self.taken >= wanted or self.ended.is_set())

    def listen(self, *topics: str) -> list[int]:
        """Return what the node says to each: 1, or 128 for a refusal."""
        self.granted.clear()
        self.client.subscribe([(topic, 1) for topic in topics])
        wait_until(lambda: len(self.granted) == len(topics))
        return self.granted


def test_a_device_may_do_what_it_needs_and_nothing_in_the_name_of_another(tmp_path: Path) -> None:
    """With the file that deploy/ has for the nodes."""
    users = (ROOT / "deploy/nats/users.conf").read_text()
    assert textwrap.indent(nats_user(TOKEN), "    ") in users
    try:
        cluster = Nats(tmp_path, count=1, users=users)
    except NotHereError as error:
        pytest.skip(str(error))
    with cluster as node:
        fleet, device = Mqtt(node, "fleet", "CHANGE-ME", "fleet"), Mqtt(node, "lobby", "CHANGE-ME", "lobby")
        assert fleet.listen("#", "$MQTT/msgs/#") == [1, 1]
        commands = [f"{PREFIX}/lobby/{command.replace('-', '/')}" for command in COMMANDS]
        assert device.listen(*commands) == [1] * len(commands)
        kinds = [f"{PREFIX}/lobby/{kind}" for kind in PAYLOADS]
        device.send(kinds)
        wait_until(lambda: {*fleet.heard} >= {*kinds}, what="each of its messages")
        fleet.send(commands)
        wait_until(lambda: len(device.heard) == len(commands), what="each command")
        assert device.listen("#", f"{PREFIX}/bakery/desired", "$MQTT/sub/#", "$MQTT/msgs/#") == [128] * 4
        device.send([f"{PREFIX}/bakery/window", f"{PREFIX}/lobby/more", "$MQTT/msgs/edge-agender/bakery/window"])
        device.send(kinds[:1])
        wait_until(lambda: fleet.heard.count(kinds[0]) == 2, what="what came after the refused ones")
        assert {topic.removeprefix("$MQTT/msgs/") for topic in fleet.heard} == {*kinds, *commands}
        with pytest.raises(NatsError, match="Authorization"):
            asyncio.run(nats.connect(node.clients[0], user="lobby", password="CHANGE-ME", allow_reconnect=False))
