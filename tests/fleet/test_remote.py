"""Configuration from afar with real parts: Mosquitto, the collector, and the daemon as a process."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agender.cli import main
from edge_agender.fleet import serving
from edge_agender.fleet.enrolment import enrol
from edge_agender.fleet.progress import of_devices, rollouts
from edge_agender.fleet.rollouts import Changes, Scope, begin
from edge_agender.fleet.serving import Fleet
from edge_agender.fleet.settings import FleetConfig
from tests.support.broker import free_port, needs_mosquitto, wait_until
from tests.support.daemon import Daemon, daemon

pytestmark = needs_mosquitto


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setattr(serving, "TURN_S", 0.05)
    monkeypatch.setattr(serving, "CARRY_EVERY_S", 0.05)
    with Fleet(FleetConfig(folder=tmp_path, own={"port": free_port()}, page={"enabled": False})) as running:
        yield running


@pytest.fixture
def box(fleet: Fleet, tmp_path: Path) -> list[str]:
    """The options of an enrolled device."""
    token = enrol(fleet.database, fleet.config, "box", "acme", "north", None, time.time())
    (tmp_path / "password").write_text(token.password)
    return [
        "mqtt.username=box",
        f"mqtt.password_file={tmp_path / 'password'}",
        "fleet.remote_config=true",
        "publish.health_s=1",
        "publish.frames=rate",
        "privacy.min_cell=6",
    ]


def roll_out(fleet: Fleet, soak_s: float, **options: Any) -> int:
    changes = Changes({name.replace("__", "."): value for name, value in options.items()})
    how = {"canary_percent": 100, "soak_s": soak_s, "offline_after_s": 300, "by": "ann", "now_s": time.time()}
    return begin(fleet.database, Scope("acme"), changes, **how).revision  # type: ignore[arg-type]


def reported(fleet: Fleet) -> dict[str, Any]:
    with fleet.database.reading() as transaction:
        ((text,),) = transaction.rows("SELECT reported FROM device WHERE name = 'box'")
    return dict(json.loads(text)) if text else {}


def state(fleet: Fleet, revision: int) -> str:
    return str(next(one["state"] for one in rollouts(fleet.database, "acme") if one["revision"] == revision))


def healthy(fleet: Fleet) -> bool:
    with fleet.database.reading() as transaction:
        return bool(
            transaction.rows("SELECT 1 FROM device WHERE name = 'box' AND health IS NOT NULL AND reported <> ''")
        )


def test_a_rollout_reaches_the_daemon_and_is_refused_in_words_where_it_loosens(
    fleet: Fleet, box: list[str], tmp_path: Path
) -> None:
    with daemon(tmp_path / "s", fleet.config.own.port, *box) as process:
        wait_until(lambda: healthy(fleet), what="the device is known, and says that it takes a configuration")
        good = roll_out(fleet, 2, window__length_s=300, privacy__min_cell=9)
        wait_until(lambda: state(fleet, good) == "done", what="taken over, and well for two seconds")
        assert reported(fleet)["effective"]["privacy.min_cell"] == 9
        assert [one["state"] for one in of_devices(fleet.database, good, "acme")] == ["well"]
        bad = roll_out(fleet, 2, privacy__min_cell=3)
        wait_until(lambda: state(fleet, bad) == "stopped")
        (told,) = of_devices(fleet.database, bad, "acme")
        assert "privacy.min_cell: 3 is looser" in told["reason"]
        wait_until(lambda: reported(fleet)["applied_revision"] == bad + 1, what="back by a higher revision")
        assert reported(fleet)["effective"]["privacy.min_cell"] == 9
        assert process.lives


def test_a_canary_that_becomes_worse_is_rolled_back(fleet: Fleet, box: list[str], tmp_path: Path) -> None:
    def runs_with(process: Daemon, revision: int) -> bool:
        assert process.lives, process.log()
        return bool(reported(fleet)["applied_revision"] == revision)

    with daemon(tmp_path / "s", fleet.config.own.port, *box) as process:
        wait_until(lambda: healthy(fleet))
        revision = roll_out(fleet, 600, window__length_s=300)
        wait_until(lambda: runs_with(process, revision))
        process.send(signal.SIGKILL)
        process.wait()
    with daemon(tmp_path / "s", fleet.config.own.port, *box) as process:
        wait_until(lambda: state(fleet, revision) == "stopped", what="its service has started anew")
        wait_until(lambda: runs_with(process, revision + 1), what="it has what it had before")
    assert reported(fleet)["effective"]["window.length_s"] == 60


def test_the_commands(fleet: Fleet, box: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any device: what the verbs say, and with which exit codes."""
    where = ["--set", f"folder={tmp_path}"]
    assert main(["fleet", "config", "set", "window.length_s=300", *where]) == 64
    assert "no device there takes a configuration from afar" in capsys.readouterr().err
    with daemon(tmp_path / "s", fleet.config.own.port, *box):
        wait_until(lambda: healthy(fleet))
        assert main(["fleet", "config", "set", "source.opencv.uri=rtsp://evil/", *where]) == 78
        assert "cannot be set from afar" in capsys.readouterr().err
        wishes = tmp_path / "wishes.yaml"
        wishes.write_text("window: {length_s: 300}\nprivacy: {min_cell: 12}\n")
        assert (
            main(["fleet", "config", "set", str(wishes), "--canary", "50%", "--for", "0", "--site", "north", *where])
            == 0
        )
        assert (
            "rollout 1: only window.length_s=300 privacy.min_cell=12: 1 devices, first box" in capsys.readouterr().out
        )
        wait_until(lambda: state(fleet, 1) == "done")
        assert main(["fleet", "config", "status", *where]) == 0
        assert "1  done  only window.length_s=300" in capsys.readouterr().out
        assert main(["fleet", "config", "status", "1", "--json", *where]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "well"
        assert main(["fleet", "config", "rollback", *where]) == 0
        wait_until(lambda: reported(fleet)["applied_revision"] == 2)
        assert reported(fleet)["effective"]["window.length_s"] == 60
        assert main(["fleet", "config", "rollback", *where]) == 64
        assert "no such rollout" in capsys.readouterr().err
