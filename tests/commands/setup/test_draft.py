"""What setup makes of files that are given to it: may the service see them, may everybody?"""

from __future__ import annotations

import io
import os
from argparse import Namespace
from pathlib import Path

import pytest

from edge_agender.cli import main
from edge_agender.commands.setup import steps, unit
from edge_agender.commands.setup.draft import CA_FILE, Draft, with_tls, with_user
from edge_agender.commands.setup.steps import run_setup
from edge_agender.errors import CredentialError, SetupError
from tests.support.broker import Authority
from tests.support.typist import typing
from tests.support.unprivileged import folder_for_all, needs_root, nobody


def test_an_authority_with_its_private_key_is_not_copied(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes((tmp_path / "ca.key").read_bytes() + authority.ca.read_bytes())
    with pytest.raises(CredentialError, match="private key"):
        with_tls(Draft(), str(both))


@pytest.mark.parametrize("nobody_at_all", ["-", ""])
def test_no_user_name_is_no_user(nobody_at_all: str) -> None:
    assert with_user(Draft({"mqtt": {"username": "x"}}), nobody_at_all).config.mqtt.username is None


def test_what_the_sandbox_hides_is_told_as_it_is_written_and_as_it_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "HIDDEN", (str(tmp_path / "home"),))
    for name in ("home", "srv"):
        (tmp_path / name).mkdir()
    (tmp_path / "home/link").symlink_to(tmp_path / "srv")
    (tmp_path / "srv/back").symlink_to(tmp_path / "home")
    told = {name: unit.hides(tmp_path / name) for name in ("home", "home/link", "srv/back", "srv", "homely")}
    assert told == {"home": True, "home/link": True, "srv/back": True, "srv": False, "homely": False}


def test_an_authority_in_a_closed_folder_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "HIDDEN", ())
    with folder_for_all() as folder:
        authority = Authority(folder / "ca").ca
        authority.chmod(0o644)
        assert with_tls(Draft(), str(authority)).config.mqtt.tls.ca_file == authority
        (folder / "ca").chmod(0o700)
        copied = with_tls(Draft(), str(authority))
        assert (copied.config.mqtt.tls.ca_file, copied.ca) == (CA_FILE, authority.read_bytes())


@pytest.mark.parametrize("other", ["//", "/etc/..", "."])
def test_the_system_by_another_name_is_the_system(
    other: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    # Who runs the tests may be root, whose /etc is not the test's.
    monkeypatch.setattr(steps, "write_all", lambda *_: pytest.fail("it would be written"))
    monkeypatch.chdir("/")
    assert main(["setup", "--yes", "--root", other]) == 73
    assert "sudo" in capsys.readouterr().err


@needs_root
def test_who_may_not_read_the_configuration_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with folder_for_all() as root:
        (root / "etc/edge-agender").mkdir(parents=True, mode=0o700)
        (root / "etc/edge-agender/config.yaml").write_text("device: {name: lobby}\n")
        with nobody(), pytest.raises(SetupError, match="sudo"):
            run_setup(Namespace(root=root, yes=True, dry_run=True))


def test_letters_that_are_not_utf_8_are_asked_for_again(tmp_path: Path) -> None:
    words = ("--root", str(tmp_path), "--broker", "127.0.0.1", "--port", "1", "--tls", "--user", "x", "--name", "y")
    with typing("setup", *words, environment={"LC_ALL": "C.UTF-8"}) as typist:
        typist.wait_for("Password.*\n.*\n.*: ")
        typist.type_bytes(b"\xff\n")
        typist.wait_for("not UTF-8")
        typist.answer("Password", "")
        typist.wait_for("nothing listens there")
        typist.press("\x03")
        assert typist.end() == 130
