"""The daemon as it runs in the shop: a process, a real Mosquitto, real signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import paho.mqtt.publish as publish
import pytest

from edge_agender.config.load import load
from edge_agender.daemon.changes import Changes
from edge_agender.daemon.remote import Remote
from edge_agender.daemon.service import Service
from edge_agender.device.state import StateFolder
from tests.support.broker import Broker, Ear, free_port, needs_mosquitto, running, wait_until
from tests.support.daemon import daemon, payloads, refused, states, wait_quiet

pytestmark = needs_mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running(Broker(tmp_path / "broker")) as broker:
        yield broker


def test_sigterm_says_stopped_and_exits_zero(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port) as box:
        wait_until(lambda: len(payloads(ear, "frame")) > 5)
        box.send(signal.SIGTERM)
        assert box.wait() == 0
        wait_until(lambda: states(ear)[-1:] == ["stopped"])
        assert "Traceback" not in box.log()
    assert states(ear)[0] == "online"


def test_kill_is_seen_as_offline(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port) as box:
        wait_until(lambda: states(ear) == ["online"])
        box.send(signal.SIGKILL)
        wait_until(lambda: states(ear)[-1] == "offline")


def test_counting_goes_on_while_the_broker_is_away(tmp_path: Path) -> None:
    broker, store = Broker(tmp_path / "broker", remembers=True), tmp_path / "s" / "outbox.sqlite3-wal"
    options = ("mqtt.reconnect_max_s=0.5", "privacy.level=viewer", "source.demo.people=4")
    with running(broker), Ear(broker.port, "edge-agender/#") as ear:
        # The listener's subscription is in the broker's memory before the daemon has anything to say.
        broker.stop()
        with daemon(tmp_path / "s", broker.port, *options) as box:
            wait_until(
                lambda: store.exists() and b"box/viewer" in store.read_bytes(), what="a viewer has nobody to tell"
            )
            assert box.lives
            broker.start()
            wait_until(lambda: payloads(ear, "viewer") and payloads(ear, "frame"))
            box.send(signal.SIGTERM)
            assert box.wait() == 0
            # Retained, it is heard again by who subscribes again.
            wait_until(lambda: states(ear)[:1] == ["online"] and states(ear)[-1] == "stopped")
    viewers = payloads(ear, "viewer")
    assert [viewer["sequence"] for viewer in viewers] == list(range(len(viewers)))


def test_without_any_broker_it_stops_in_time(tmp_path: Path) -> None:
    with daemon(tmp_path / "s", free_port(), "mqtt.reconnect_max_s=0.2", "log.level=debug", patient=False) as box:
        wait_until(lambda: box.log().count("nothing listens there") > 3, what="several attempts")
        box.send(signal.SIGTERM)
        assert box.wait() == 0  # how fast stands in docs/performance.md
        said = [line for line in box.log().splitlines() if "nothing listens there" in line]
        assert sum("WARNING" in line for line in said) == 1


def test_the_off_switch_over_the_broker(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port) as box:
        wait_until(lambda: len(payloads(ear, "frame")) > 2)
        publish.single("edge-agender/box/enabled/set", "off", 1, retain=True, hostname="127.0.0.1", port=broker.port)
        wait_until(lambda: [enabled["measuring"] for enabled in payloads(ear, "enabled")] == [True, False])
        wait_quiet(ear, "frame")
        assert box.lives


def test_sighup_takes_a_valid_file_over_and_refuses_another(broker: Broker, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("publish: {idle_s: 0.2, health_s: 1}\n")
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(tmp_path / "s", broker.port, arguments=("--config", str(path))) as box,
    ):
        wait_until(lambda: len(payloads(ear, "frame")) > 2)
        path.write_text("publish: {idle: 3}\n")
        box.send(signal.SIGHUP)
        wait_until(lambda: refused(ear))
        # At this level health may come every 30 s at most: the option has to change with it.
        path.write_text("privacy: {level: aggregate}\npublish: {health_s: 30}\n")
        box.send(signal.SIGHUP)
        wait_until(lambda: not refused(ear))
        wait_quiet(ear, "frame")
        assert box.lives


# However far the broker falls behind a recording that is read as fast as possible.
EVERY_MESSAGE = ("outbox.live_messages=100000", "outbox.live_max_age_s=1000")


def test_the_walking_pair_over_a_real_broker(broker: Broker, tmp_path: Path, videos: Path) -> None:
    """Done when, 2: a valid message for every processed frame of the clip, and a woman and a man at its end."""
    options = ("publish.idle_s=0", "privacy.level=viewer", "source.kind=opencv", "source.opencv.pace=false")
    uri = f"source.opencv.uri={videos / 'face-demographics-walking.gif'}"
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(tmp_path / "s", broker.port, *options, *EVERY_MESSAGE, uri, arguments=("--until-end",)) as box,
    ):
        assert box.wait() == 0
        wait_until(lambda: len(payloads(ear, "frame")) >= 35)
        wait_until(lambda: len(payloads(ear, "viewer")) >= 2)
    frames = payloads(ear, "frame")
    assert [frame["sequence"] for frame in frames] == list(range(35))
    viewers: list[Any] = payloads(ear, "viewer")
    assert sorted(viewer["gender"]["label"] for viewer in viewers) == ["female", "male"]
    # Both are in view from the first of 35 frames to the last, at 2.83 s; a frame more or less, and rounding to 0.1 s.
    assert all(abs(viewer["dwell_s"] - 2.83) <= 1 / 12 + 0.05 for viewer in viewers), viewers
    assert all(18 <= viewer["age"]["years"] <= 60 for viewer in viewers), viewers


def test_people_seen_from_above_are_nobody(broker: Broker, tmp_path: Path, videos: Path) -> None:
    options = ("publish.idle_s=0", "source.kind=opencv", "source.opencv.pace=false", "gating.cadence=false")
    uri = f"source.opencv.uri={videos / 'one-by-one-person-detection.mp4'}"
    with (
        Ear(broker.port, "edge-agender/#") as ear,
        daemon(tmp_path / "s", broker.port, *options, *EVERY_MESSAGE, uri, arguments=("--until-end",)) as box,
    ):
        assert box.wait() == 0
        wait_until(lambda: states(ear)[-1:] == ["stopped"])
    frames = payloads(ear, "frame")
    counted = sum(frame["audience"]["count"] > 0 for frame in frames)  # type: ignore[index]
    assert len(frames) > 300
    assert counted <= 0.02 * len(frames)


def test_a_reload_gives_opencv_its_new_threads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(cv2, "setNumThreads", given.append)
    service = Service(load(None, []), Mock(), sink="stdout", until_end=False)
    remote = Remote(StateFolder(None), Mock(), load(None, []))
    changes = Changes(Mock(), remote, Mock(), Mock(), service._settle)
    changes.reload(lambda: load(None, ["detector.threads=2"]))
    assert given == [2]
