"""`fleet enrol` on the server and `setup --yes --enrol` on the box understand each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agender.cli import main
from edge_agender.commands.setup.draft import CA_FILE
from edge_agender.config.load import load
from edge_agender.config.token import Token
from tests.support.broker import Authority, free_port


def token(**changes: object) -> Token:
    fields = {"name": "lobby", "hosts": [f"127.0.0.1:{free_port()}"], "password": "a-long-password", "prefix": "signs"}
    return Token.model_validate(fields | {"protocol": "3.1.1"} | changes)


def set_up(tmp_path: Path, word: str, *flags: str) -> int:
    return main(["setup", "--yes", "--no-start", "--root", str(tmp_path), "--source", "demo", "--enrol", word, *flags])


def test_one_word_sets_a_device_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = token()
    set_up(tmp_path, made.text())
    config = load(tmp_path / "etc/edge-agender/config.yaml")
    assert config.device.name == config.mqtt.username == "lobby"
    assert config.mqtt.prefix == "signs"
    assert config.mqtt.protocol == "3.1.1"
    assert [f"{one.host}:{one.effective_port}" for one in config.mqtt.brokers] == list(made.hosts)
    assert (tmp_path / "etc/credstore/edge-agender.mqtt-password").read_text() == "a-long-password\n"
    assert "a-long-password" not in capsys.readouterr().out


def test_a_file_does_as_well_and_names_several_nodes_and_their_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca").ca.read_text()
    hosts = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    (tmp_path / "token").write_text(token(hosts=hosts, tls=True, ca=authority).text() + "\n")
    set_up(tmp_path / "root", str(tmp_path / "token"))
    config = load(tmp_path / "root/etc/edge-agender/config.yaml")
    assert [f"{one.host}:{one.effective_port}" for one in config.mqtt.brokers] == hosts
    assert config.mqtt.tls.ca_file == CA_FILE
    assert (tmp_path / "root" / CA_FILE.relative_to("/")).read_text() == authority


@pytest.mark.parametrize("word", ["nonsense", "", "e30", "/no/such/file"])
def test_what_is_no_token_is_refused(tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert set_up(tmp_path, word) == 77
    assert "fleet enrol" in capsys.readouterr().err
    assert not (tmp_path / "etc").exists()


def test_the_fleet_may_set_options_from_afar_save_where_the_installer_says_no(tmp_path: Path) -> None:
    file = Path("etc/edge-agender/config.yaml")
    for name, flags in {"yes": (), "no": ("--no-remote-config",)}.items():
        set_up(tmp_path / name, token().text(), *flags)
        assert load(tmp_path / name / file).fleet.remote_config is (name == "yes")
    (tmp_path / "file" / file).parent.mkdir(parents=True)
    (tmp_path / "file" / file).write_text("fleet: {remote_config: false, locked: [schedule]}\n")
    set_up(tmp_path / "file", token().text())
    assert load(tmp_path / "file" / file).fleet.remote_config is False, "the file said no"
    assert load(tmp_path / "file" / file).fleet.locked == ("schedule",)
