"""Start a broker on loopback, run the daemon on synthetic faces, and show what a subscriber receives.

A live table on a terminal, one short line a change on a pipe, every message with --json; at the end who was shown, whom
the daemon counted, and what it published.

The broker is the machine's Mosquitto where one is installed, else an embedded one (amqtt, MQTT 3.1.1 only).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import paho.mqtt.client as mqtt

sys.path.insert(0, str(Path(__file__).parents[1]))
from edge_agender.common.output import reader_may_leave
from examples.demo_view import Heard, Json, Lines, LiveTable, still_held, summary, truth, view_for

# Enough people a minute, and a table soon, so that cells are published at once with the default privacy.
CROWD = {"width_px": 1280, "height_px": 960, "people": 12, "seed": 7}
WINDOW_S, PERIOD_S = 10, 20
NOTE = f"chosen for the demo: 60 people a minute, a table every {PERIOD_S} s (a device publishes one an hour)"
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

    # It warns of whoever connects without a word, as the wait for its port does.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
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


def subscriber(port: int, heard: Heard, out: LiveTable | Lines | Json) -> mqtt.Client:
    """Hand on what arrives."""

    def on_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        payload = json.loads(message.payload)
        line = heard.hear(message.topic.rpartition("/")[2], payload, time.monotonic())
        try:
            if isinstance(out, Json):
                out.message(message.topic, payload)
            elif line is not None:
                out.line(line)
        except BrokenPipeError:
            # Raised here it would end the subscriber's thread alone.
            heard.reader_left = True

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.on_message = on_message
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
        *(f"source.{name}={value}" for name, value in CROWD.items() if name.endswith("_px")),
        *(f"source.demo.{name}={value}" for name, value in CROWD.items() if not name.endswith("_px")),
        "mqtt.host=127.0.0.1",
        f"mqtt.port={port}",
        f"web.port={page_port}",
        f"mqtt.protocol={protocol}",
        "publish.frames=rate",
        "publish.max_rate_hz=2",
        "publish.health_s=10",
        f"window.length_s={WINDOW_S}",
        f"demographics.period_s={PERIOD_S}",
        "log.level=warning",
    ]
    command = [sys.executable, "-m", "edge_agender", "run", "--config", str(config)]
    return [*command, *(word for option in options for word in ("--set", option))]


def run_daemon(command: Sequence[str], heard: Heard, seconds: float | None) -> int:
    """Run until it ends by itself, for so many seconds after the first frame, until Ctrl-C or the reader has left."""
    daemon = subprocess.Popen(command)
    with contextlib.suppress(KeyboardInterrupt):
        while daemon.poll() is None and not heard.enough(seconds, time.monotonic()):
            time.sleep(0.05)
    if daemon.poll() is None:
        daemon.terminate()
        daemon.wait(30)
        time.sleep(0.2)  # the goodbye is still on its way to the subscriber
    return daemon.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop so long after the first frame; without it, on Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print every message as it comes")
    options = parser.parse_args()
    port, page_port, program = free_port(), free_port(8080), find_mosquitto()
    page = f"http://127.0.0.1:{page_port}/"
    print(f"# broker: {'Mosquitto' if program else 'amqtt (MQTT 3.1.1)'} on 127.0.0.1:{port}; Ctrl-C stops", flush=True)
    print(f"# status page and aim view: {page}", flush=True)
    print(f"# {NOTE}", flush=True)
    heard = Heard()
    with tempfile.TemporaryDirectory() as folder, mosquitto(program, port) if program else amqtt(port):
        wait_for_port(port)
        out = Json(sys.stdout) if options.json else view_for(sys.stdout, heard, page)
        client = subscriber(port, heard, out)
        try:
            command = daemon_command(port, "5" if program else "3.1.1", Path(folder), page_port)
            code = run_daemon(command, heard, options.seconds)
        finally:
            client.disconnect()
            client.loop_stop()
            out.close()
        # Who walked by while the daemon was stopping was shown to nobody.
        seconds = heard.last_frame_s - (heard.first_frame_s or 0.0)
        held = still_held(Path(folder))
    if not options.json and heard.first_frame_s is not None:
        print("\n" + "\n".join(summary(heard, truth(CROWD, seconds), held)), flush=True)
    return code


if __name__ == "__main__":
    code = 0
    with reader_may_leave():
        code = main()
    sys.exit(code)
