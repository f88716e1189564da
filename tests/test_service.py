"""The daemon as it runs in the shop: a process, a real Mosquitto, real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from broker import Broker, Ear, free_port, needs_mosquitto, running, wait_until
from message_check import check

pytestmark = needs_mosquitto

DEMO = ["source.kind=demo", "source.width_px=640", "source.height_px=480", "device.name=box", "web.enabled=false"]


@contextmanager
def daemon(state: Path, port: int, *options: str, arguments: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """The real command, its state below `state`; killed at the end where it still runs."""
    settings = [*DEMO, f"mqtt.port={port}", f"outbox.path={state}", "schedule.off_file=null", *options]
    words = [sys.executable, "-m", "edge_agender", "run", *arguments]
    for option in settings:
        words += ["--set", option]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running(Broker(tmp_path / "broker")) as broker:
        yield broker


def payloads(ear: Ear, kind: str) -> list[dict[str, object]]:
    return [check(message.payload) for message in list(ear.heard) if message.topic == f"edge-agender/box/{kind}"]


def states(ear: Ear) -> list[object]:
    return [payload["state"] for payload in payloads(ear, "status")]


def test_sigterm_says_stopped_and_exits_zero(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port) as process:
        wait_until(lambda: len(payloads(ear, "frame")) > 5, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        wait_until(lambda: states(ear)[-1:] == ["stopped"])
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert states(ear)[0] == "online"


def test_kill_is_seen_as_offline(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port) as process:
        wait_until(lambda: states(ear) == ["online"], 20)
        process.kill()
        wait_until(lambda: states(ear)[-1] == "offline")


def test_counting_goes_on_while_the_broker_is_away(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    options = ("mqtt.reconnect_max_s=0.5", "privacy.level=viewer", "source.demo.people=4")
    with daemon(tmp_path / "s", broker.port, *options) as process:
        time.sleep(6)  # long enough for visits to end with nobody to tell
        assert process.poll() is None
        with running(broker), Ear(broker.port, "edge-agender/#") as ear:
            wait_until(lambda: payloads(ear, "viewer") and payloads(ear, "frame"), 20)
            assert states(ear)[:1] == ["online"]
            viewers = payloads(ear, "viewer")
            assert [viewer["sequence"] for viewer in viewers] == list(range(len(viewers)))
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


def test_without_any_broker_it_stops_in_time(tmp_path: Path) -> None:
    with daemon(tmp_path / "s", free_port()) as process:
        wait_until(lambda: (tmp_path / "s").exists(), 20)  # the outbox opens first, after the signals are caught
        time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5  # generous: how fast it is stands in docs/performance.md
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
        assert sum("nothing listens there" in line for line in lines) == 1


def test_the_off_switch_over_the_broker(broker: Broker, tmp_path: Path) -> None:
    import paho.mqtt.publish as publish

    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port) as process:
        wait_until(lambda: len(payloads(ear, "frame")) > 2, 20)
        publish.single("edge-agender/box/enabled/set", "off", 1, retain=True, hostname="127.0.0.1", port=broker.port)
        wait_until(lambda: payloads(ear, "enabled")[-1]["measuring"] is False)
        time.sleep(0.5)
        count = len(payloads(ear, "frame"))
        time.sleep(1.5)
        assert len(payloads(ear, "frame")) == count
        assert process.poll() is None


def test_sighup_takes_a_valid_file_over_and_refuses_another(broker: Broker, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("publish: {idle_s: 0.2}\n")
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(tmp_path / "s", broker.port, "publish.health_s=1", arguments=("--config", str(path))) as process,
    ):
        wait_until(lambda: len(payloads(ear, "frame")) > 2, 20)
        path.write_text("publish: {idle: 3}\n")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: payloads(ear, "health") and payloads(ear, "health")[-1]["alarms"])
        path.write_text("privacy: {level: aggregate}\n")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: not payloads(ear, "health")[-1]["alarms"])
        count = len(payloads(ear, "frame"))
        time.sleep(1)
        assert len(payloads(ear, "frame")) == count
        assert process.poll() is None


def test_the_walking_pair_over_a_real_broker(broker: Broker, tmp_path: Path, videos: Path) -> None:
    """Done when, 2: a valid message for every processed frame of the clip, and a woman and a man at its end."""
    options = ("publish.idle_s=0", "privacy.level=viewer", "source.kind=opencv", "source.opencv.pace=false")
    uri = f"source.opencv.uri={videos / 'face-demographics-walking.gif'}"
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(tmp_path / "s", broker.port, *options, uri, arguments=("--until-end",)) as process,
    ):
        assert process.wait(60) == 0
        wait_until(lambda: len(payloads(ear, "frame")) >= 35)
        wait_until(lambda: len(payloads(ear, "viewer")) >= 2)
    frames = payloads(ear, "frame")
    assert [frame["sequence"] for frame in frames] == list(range(35))
    labels = [json.loads(json.dumps(viewer))["gender"]["label"] for viewer in payloads(ear, "viewer")]
    assert sorted(labels) == ["female", "male"]


def test_people_seen_from_above_are_nobody(broker: Broker, tmp_path: Path, videos: Path) -> None:
    options = ("publish.idle_s=0", "source.kind=opencv", "source.opencv.pace=false", "gating.cadence=false")
    uri = f"source.opencv.uri={videos / 'one-by-one-person-detection.mp4'}"
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(tmp_path / "s", broker.port, *options, uri, arguments=("--until-end",)) as process,
    ):
        assert process.wait(100) == 0
        wait_until(lambda: states(ear)[-1:] == ["stopped"])
    frames = payloads(ear, "frame")
    counted = sum(frame["audience"]["count"] > 0 for frame in frames)  # type: ignore[index]
    assert len(frames) > 300
    assert counted <= 0.02 * len(frames)
