"""The publisher at brokers that are not Mosquitto, where they are installed: what they do is named right.

NATS (nats-server), RabbitMQ (rabbitmq-server with rabbitmq_mqtt), aedes (npm install aedes below $NODE_PATH) and amqtt.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from edge_agender.delivery.mqtt.probe import check_connection
from edge_agender.errors import BrokerError
from tests.support.broker import free_port, wait_until
from tests.support.link import Link, settings, window

pytestmark = pytest.mark.usefixtures("patient")
NATS = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def nats(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    text = f'server_name: one\nport: {free_port()}\njetstream {{ store_dir: "{folder}" }}\nmqtt {{ port: {port} }}\n'
    (folder / "nats.conf").write_text(text)
    return [str(NATS), "-c", str(folder / "nats.conf")], {}


def rabbitmq(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    lines = f"listeners.tcp.1 = 127.0.0.1:{free_port()}\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\n"
    (folder / "rabbitmq.conf").write_text(lines + "mqtt.allow_anonymous = true\n")
    (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
    settings = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"ea{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_PORT": str(free_port()),
    }
    return [str(RABBITMQ)], settings


def aedes(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    code = (
        "const m = require('aedes'); (async () => { const a = m.Aedes.createBroker ? await m.Aedes.createBroker()"
        f" : new m.Aedes(); require('net').createServer(a.handle).listen({port}, '127.0.0.1') }})()"
    )
    return ["node", "-e", code], {}


def amqtt(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    text = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    (folder / "amqtt.yaml").write_text(json.dumps(text))
    code = "from amqtt.scripts.broker_script import main; main()"
    return [sys.executable, "-c", code, "-c", str(folder / "amqtt.yaml")], {}


def has_aedes() -> bool:
    return shutil.which("node") is not None and subprocess.run(
        ["node", "-e", "require('aedes')"], capture_output=True, check=False
    ).returncode == 0  # fmt: skip


KINDS: dict[str, tuple[Callable[[Path, int], tuple[list[str], dict[str, str]]], bool, str]] = {
    "nats": (nats, NATS is not None, "no nats-server is installed here"),
    "rabbitmq": (rabbitmq, RABBITMQ.exists(), "no rabbitmq-server is installed here"),
    "aedes": (aedes, has_aedes(), "node finds no aedes here (npm install aedes, NODE_PATH)"),
    "amqtt": (amqtt, importlib.util.find_spec("amqtt") is not None, "no amqtt is installed here"),
}


@contextmanager
def serving(command: list[str], port: int, environment: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **environment}, start_new_session=True
        )
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, what="it listens")
        assert process.poll() is None, (folder / "output").read_text()[-800:]
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        if "ERL_EPMD_PORT" in environment:
            # Erlang's name server is a daemon of its own, and ends once it has noticed that its last node is gone.
            end = ["epmd", "-port", environment["ERL_EPMD_PORT"], "-kill"]
            wait_until(lambda: b"Killed" in subprocess.run(end, capture_output=True, check=False).stdout)


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.slow if kind in ("rabbitmq", "amqtt") else ()) for kind in KINDS],
)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    make, installed, reason = KINDS[request.param]
    if not installed:
        pytest.skip(reason)
    folder, number = tmp_path_factory.mktemp(request.param), free_port()
    command, environment = make(folder, number)
    with serving(command, number, environment, folder):
        yield number


def test_what_speaks_the_former_version_is_named(port: int, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"mqtt\.protocol: 3\.1\.1"):
        check_connection(settings(port))
    with Link(settings(port), tmp_path) as link:
        wait_until(lambda: "mqtt.protocol: 3.1.1" in str(link.publisher.state().last_error))


def test_windows_arrive_and_are_acknowledged_in_mqtt_3_1_1(port: int, tmp_path: Path) -> None:
    got: list[int] = []
    listening: list[int] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"ear{port}", protocol=paho.MQTTv311)
    client.on_message = lambda _c, _d, message: got.append(json.loads(message.payload)["sequence"])
    client.on_subscribe = lambda *_: listening.append(1)
    until_s = time.monotonic() + 60
    while True:
        try:
            client.connect("127.0.0.1", port)
            break
        except OSError:
            assert time.monotonic() < until_s
    client.on_connect = lambda client, *_: client.subscribe("p/d/window", 1)
    client.loop_start()
    try:
        wait_until(lambda: listening, what="the ear listens")
        with Link(settings(port, protocol="3.1.1"), tmp_path) as link:
            for number in range(30):
                link.outbox.put(window(number))
            wait_until(lambda: set(got) == set(range(30)), what="all windows arrive")
            wait_until(lambda: link.outbox.state().durable == 0, what="all are acknowledged")
    finally:
        client.disconnect()
        client.loop_stop()
