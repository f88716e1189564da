"""A configuration from afar over a real Mosquitto, to a process of the real command."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publish
import pytest

from tests.support.broker import Broker, Ear, needs_mosquitto, running, wait_until
from tests.support.daemon import daemon, payloads, states, wait_quiet

pytestmark = needs_mosquitto
ALLOWED = ("fleet.remote_config=true", "publish.idle_s=0.2")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running(Broker(tmp_path / "broker")) as broker:
        yield broker


def desire(broker: Broker, revision: int, **sections: Any) -> None:
    text = json.dumps({"revision": revision, "configuration": sections}) if revision else None
    publish.single("edge-agender/box/desired", text, 1, retain=True, hostname="127.0.0.1", port=broker.port)


def last(ear: Ear) -> tuple[object, ...]:
    said = payloads(ear, "reported")
    return tuple(said[-1][name] for name in ("state", "applied_revision")) if said else ()


def test_it_is_taken_over_refused_kept_and_taken_back(broker: Broker, tmp_path: Path) -> None:
    desire(broker, 1, privacy={"level": "aggregate"})  # before the device is there: the broker keeps it
    with Ear(broker.port, "edge-agender/#") as ear:
        with daemon(tmp_path / "s", broker.port, *ALLOWED) as box:
            wait_until(lambda: last(ear) == ("applied", 1))
            wait_quiet(ear, "frame")
            desire(broker, 2, source={"kind": "opencv", "opencv": {"uri": "rtsp://evil/"}})
            wait_until(lambda: last(ear) == ("refused", 1))
            assert payloads(ear, "reported")[-1]["reasons"] == [
                "source.kind: cannot be set from afar",
                "source.opencv.uri: cannot be set from afar",
            ]
            desire(broker, 3, privacy={"level": "frame", "min_cell": 9})
            wait_until(lambda: last(ear) == ("applied", 3))
            heard = len(payloads(ear, "frame"))
            wait_until(lambda: len(payloads(ear, "frame")) > heard, what="frames again: it may be as open as its file")
            assert box.lives
            box.send(signal.SIGTERM)
            assert box.wait() == 0
        broker.stop()
        # It has no memory: what is in force now comes from the device's own disk.
        with daemon(tmp_path / "s", broker.port, *ALLOWED, "mqtt.reconnect_max_s=0.5") as box:
            wait_until(lambda: "revision 3 is in force" in box.log())
            broker.start()
            said = len(payloads(ear, "reported"))
            wait_until(lambda: len(payloads(ear, "reported")) > said)
            assert last(ear) == ("applied", 3)
            assert payloads(ear, "reported")[-1]["effective"]["privacy.min_cell"] == 9  # type: ignore[index]


def test_taken_back_by_an_empty_message(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port, *ALLOWED) as box:
        wait_until(lambda: last(ear) == ("local", 0))
        desire(broker, 5, publish={"idle_s": 30}, privacy={"min_cell": 9})
        wait_until(lambda: last(ear) == ("applied", 5))
        desire(broker, 0)
        wait_until(lambda: last(ear) == ("local", 0))
        effective = payloads(ear, "reported")[-1]["effective"]
        assert effective["privacy.min_cell"] == 5  # type: ignore[index]
        assert box.lives


def test_who_did_not_allow_it_does_not_listen(broker: Broker, tmp_path: Path) -> None:
    desire(broker, 1, privacy={"level": "aggregate"})
    with Ear(broker.port, "edge-agender/#") as ear, daemon(tmp_path / "s", broker.port) as box:
        wait_until(lambda: len(payloads(ear, "frame")) > 5)
        box.send(signal.SIGTERM)
        assert box.wait() == 0
        wait_until(lambda: states(ear)[-1:] == ["stopped"])
    assert payloads(ear, "reported") == []
