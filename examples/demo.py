"""Start a broker on loopback, run the daemon on faces of nobody, and print what a subscriber receives.

The broker is the machine's Mosquitto where one is installed, else an embedded one (amqtt, MQTT 3.1.1 only).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt

CONNECT_TIMEOUT_S = 60.0


def free_port(wished: int = 0) -> int:
    """Return the wished port where nobody listens on it, else any that is free."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wished))
        except OSError:
            return free_port()
        return int(probe.getsockname()[1])


def find_mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def mosquitto(program: str, port: int) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "mosquitto.conf")
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n")
        # In a session of its own: Ctrl-C is for the demo, whose last words the broker must still carry.
        broker = subprocess.Popen([program, "-c", str(config)], start_new_session=True)
        try:
            yield
        finally:
            broker.terminate()
            broker.wait()


@contextlib.contextmanager
def amqtt(port: int) -> Iterator[None]:
    from amqtt.broker import Broker

    loop = asyncio.new_event_loop()
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    broker = asyncio.run_coroutine_threadsafe(_started(Broker, config), loop).result(CONNECT_TIMEOUT_S)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(CONNECT_TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(1)


async def _started(broker_class, config):  # type: ignore[no-untyped-def]
    broker = broker_class(config)
    await broker.start()
    return broker


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    sys.exit(f"the broker did not open port {port} within {CONNECT_TIMEOUT_S:.0f} s")


def subscriber(port: int, heard: threading.Event) -> mqtt.Client:
    """Print what arrives; `heard` is set with the first message."""

    def print_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        print(message.topic, json.dumps(json.loads(message.payload)), flush=True)
        heard.set()

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.on_message = print_message
    client.on_connect = lambda c, *_: c.subscribe("edge-agender/#")
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def daemon_command(port: int, protocol: str, folder: Path, page_port: int) -> list[str]:
    """Return the command that runs the daemon by these options alone, whatever this machine's configuration says."""
    config = folder / "config.yaml"
    config.touch()
    options = [
        f"outbox.path={folder}",
        "device.name=demo",
        "source.kind=demo",
        "mqtt.host=127.0.0.1",
        f"mqtt.port={port}",
        f"web.port={page_port}",
        f"mqtt.protocol={protocol}",
        "publish.frames=rate",
        "publish.max_rate_hz=2",
        "publish.health_s=10",
    ]
    command = [sys.executable, "-m", "edge_agender", "run", "--config", str(config)]
    return [*command, *(word for option in options for word in ("--set", option))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop so long after the first message; without it, on Ctrl-C")
    seconds = parser.parse_args().seconds
    port = free_port()
    page_port = free_port(8080)
    program = find_mosquitto()
    print(f"# broker: {'Mosquitto' if program else 'amqtt (MQTT 3.1.1)'} on 127.0.0.1:{port}; Ctrl-C stops", flush=True)
    print(f"# status page and aim view: http://127.0.0.1:{page_port}/", flush=True)
    with tempfile.TemporaryDirectory() as folder, mosquitto(program, port) if program else amqtt(port):
        wait_for_port(port)
        heard = threading.Event()
        client = subscriber(port, heard)
        daemon = subprocess.Popen(daemon_command(port, "5" if program else "3.1.1", Path(folder), page_port))
        try:
            while daemon.poll() is None and not heard.wait(0.1):
                pass
            daemon.wait(seconds)
            return daemon.returncode  # it ended by itself: its own message says why
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            daemon.terminate()
            daemon.wait(30)
            time.sleep(0.2)  # the goodbye is still on its way to the subscriber
            return daemon.returncode
        finally:
            client.disconnect()
            client.loop_stop()


if __name__ == "__main__":
    sys.exit(main())
