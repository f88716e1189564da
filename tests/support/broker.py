"""A real Mosquitto for tests, a certificate authority of openssl's, and an ear that misses nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="no mosquitto is installed here")


# Below those that Linux gives to outgoing connections: nobody else is given such a port between two looks at it, and
# who tries to connect to it is not connected to itself.
PORTS = (15_000, 32_000)


def free_port() -> int:
    for port in random.SystemRandom().sample(range(*PORTS), 100):
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port is free from {PORTS[0]} to {PORTS[1]}")


def wait_until(condition: Callable[[], object], timeout_s: float = 120.0, what: str = "") -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, f"not within {timeout_s} s: {what or condition}"
        time.sleep(0.01)


class Authority:
    """A CA with which to sign certificates. `days` below 0 makes one that expired."""

    def __init__(self, folder: Path, days: int = 2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._key = folder / "ca.key"
        files = ("-keyout", self._key, "-out", self.ca)
        _openssl("req", "-x509", *_NEW_KEY, *files, "-days", days, "-subj", "/CN=test CA")

    def certificate(self, name: str, common_name: str, days: int = 2) -> tuple[Path, Path]:
        """Return certificate and key for a host name or, as well, a client."""
        certificate, key, request = (self._folder / f"{name}{suffix}" for suffix in (".pem", ".key", ".csr"))
        subject = ("-subj", f"/CN={common_name}", "-addext", f"subjectAltName=DNS:{common_name}")
        _openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, *subject)
        signer = ("-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-copy_extensions", "copy")
        _openssl("x509", "-req", "-in", request, *signer, "-days", days, "-out", certificate)
        return certificate, key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@dataclass
class Broker:
    """One Mosquitto on loopback. `lines` are of mosquitto.conf; if it `remembers`, sessions survive its death."""

    folder: Path
    lines: list[str] = field(default_factory=lambda: ["allow_anonymous true"])
    port: int = field(default_factory=free_port)
    remembers: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        assert MOSQUITTO is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        keep = ["max_queued_messages 0", "sys_interval 0"]
        if self.remembers:
            keep += ["persistence true", f"persistence_location {self.folder}/"]
            keep += ["autosave_interval 1", "autosave_on_changes true"]
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join(["user root", f"listener {self.port} 127.0.0.1", *keep, *self.lines]) + "\n")
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=log, stderr=log)
        log.close()
        wait_until(self._answers, what="mosquitto listens")
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"mosquitto ended: {(self.folder / 'log').read_text()[-500:]}"
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(60)
        self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def add_user(self, name: str, password: str) -> None:
        """Put a user into `passwords` in the folder; name that file in `lines`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "passwords"
        create = [] if path.exists() else ["-c"]
        subprocess.run(["mosquitto_passwd", *create, "-b", str(path), name, password], check=True, capture_output=True)


@contextmanager
def running(broker: Broker) -> Iterator[Broker]:
    try:
        yield broker.start()
    finally:
        broker.stop()


BACK = "ear/back"


class Ear:
    """A subscriber with a session that the broker keeps, so that it hears what was published while it was away.

    Enter it before who is to be heard.
    """

    def __init__(
        self, port: int, topic: str = "#", username: str | None = None, password: str | None = None, name: str = "ear"
    ) -> None:
        self.heard: list[paho.MQTTMessage] = []
        self._subscribed, self._said = threading.Event(), set[int]()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"{name}-{os.getpid()}", protocol=paho.MQTTv5)
        self._client.username_pw_set(username, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_publish = lambda _client, _data, number, *_: self._said.add(number)
        self._client.on_message = lambda _client, _data, message: self._hear(message)
        self._port = port

    def __enter__(self) -> Ear:
        keep = Properties(PacketTypes.CONNECT)
        keep.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", self._port, 600, clean_start=False, properties=keep)
        self._client.loop_start()
        assert self._subscribed.wait(60), "the ear could not subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, message: paho.MQTTMessage) -> None:
        if message.topic != BACK:
            self.heard.append(message)

    def wait_back(self) -> None:
        """Return once it is connected again after the broker was away.

        A client that has not noticed yet calls itself connected: only the broker's answer proves it.
        """
        self.say(BACK, "")

    def say(self, topic: str, payload: str) -> None:
        """Publish something, as whoever commands a device would; return once the broker has it."""
        number = self._client.publish(topic, payload, qos=1).mid
        wait_until(lambda: number in self._said, what=f"the broker has what was said to {topic}")

    def payloads(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in self.heard if message.topic == topic and message.payload]
