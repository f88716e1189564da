"""Collection from a real NATS: everything acknowledged to a device is delivered, again and again until acknowledged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from edge_agender.fleet.jetstream import JetStreamSource
from edge_agender.fleet.records import Arrival
from edge_agender.fleet.settings import NatsConfig
from proofs.fleet.servers import PASSWORD, USER, Nats, NotHereError
from tests.fleet.messages import PREFIX, health, window
from tests.support.broker import wait_until

pytestmark = pytest.mark.slow


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
