"""The files in deploy/ are read by the programs that they are for, where this machine has them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from edge_agender.cli import main
from edge_agender.fleet.collector import Collector
from edge_agender.fleet.metrics import FleetMetrics, exposition
from edge_agender.fleet.settings import FleetConfig
from edge_agender.fleet.store import Database
from proofs.fleet.servers import NotHereError, nats_program
from tests.fleet.test_collector import Broker
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"


def test_nats_takes_its_configuration() -> None:
    try:
        program = nats_program()
    except NotHereError as error:
        pytest.skip(str(error))
    done = subprocess.run([program, "-t", "-c", DEPLOY / "nats/nats.conf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_collectors_take_theirs() -> None:
    config = FleetConfig.model_validate(yaml.safe_load((DEPLOY / "fleet.yaml").read_text()))
    assert config.broker == "nats"
    assert len(config.nats.mqtt_addresses) == 3


def test_every_service_of_the_compose_file_has_what_it_names() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in compose["services"].values():
        sources = [volume.split(":")[0] for volume in service.get("volumes", ())]
        assert all((DEPLOY / one).exists() if one.startswith("./") else one in compose["volumes"] for one in sources)
        assert set(service.get("depends_on", ())) <= set(compose["services"])
    assert (DEPLOY / compose["x-collector"]["build"]["dockerfile"].removeprefix("deploy/")).exists()


def test_compose_takes_its_file() -> None:
    """Where docker is; no engine has to run for that."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and not subprocess.run([*command, "version"], capture_output=True, check=False).returncode
        ):
            break
    else:
        pytest.skip("needs docker compose")
    done = subprocess.run(
        [*command, "-f", DEPLOY / "compose.yaml", "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_unit_is_printed_for_who_installs_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "unit"]) == 0
    assert capsys.readouterr().out == (DEPLOY / "systemd/edge-agender-fleet.service").read_text()


def test_the_unit_is_one_for_systemd(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    text = (DEPLOY / "systemd/edge-agender-fleet.service").read_text()
    unit = tmp_path / "edge-agender-fleet.service"
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert "edge-agender-fleet.service" not in done.stderr, done.stderr


def test_alerts_ask_for_metrics_that_there_are(database: Database) -> None:
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]
    asked = {
        name for group in groups for rule in group["rules"] for name in re.findall(r"edge_agender\w+", rule["expr"])
    }
    collector = Collector(Broker([]), database, "edge-agender")
    shown = exposition(FleetMetrics(database, collector, lambda: 3, lambda: True)).decode()
    assert asked
    assert all(f"\n{name} " in shown for name in asked)


def test_lists_are_for_people_and_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--set", f"folder={tmp_path}"]
    assert main(["fleet", "devices", *where]) == 0
    assert capsys.readouterr().out.startswith("device")
    assert main(["fleet", "gaps", "--json", *where]) == 0
    assert main(["fleet", "check", *where]) == 0
    assert main(["fleet", "export", "audience", str(tmp_path / "a.csv"), "--by", "face", *where]) == 64
    assert main(["fleet", "export", "audience", str(tmp_path / "a.csv"), "--by", "device", *where]) == 0
    assert (tmp_path / "a.csv").read_text().startswith("device,viewers")
