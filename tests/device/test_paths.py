"""Where things lie for a user with a home, without one, and with variables that make no sense."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agender.device.paths import has_home, state_folder, user_folder
from tests.support.paths import ROOT
from tests.support.unprivileged import needs_root, nobody


@pytest.mark.parametrize(
    ("environment", "state", "models"),
    [
        ({"HOME": "/h"}, "/h/.local/state/edge-agender", "/h/.local/share/edge-agender/models"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_DATA_HOME": "/d"}, "/s/edge-agender", "/d/edge-agender/models"),
        # A relative path in these counts as none: it would lie wherever the command is called.
        ({"HOME": "/h", "XDG_STATE_HOME": "s"}, "/h/.local/state/edge-agender", "/h/.local/share/edge-agender/models"),
        ({"HOME": "/h", "XDG_DATA_HOME": ""}, "/h/.local/state/edge-agender", "/h/.local/share/edge-agender/models"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "HOME": "/h"}, "/var/lib/a", "/var/lib/a/models"),
    ],
)
def test_where_state_and_models_lie(environment: dict[str, str], state: str, models: str) -> None:
    assert state_folder(environment) == Path(state)
    assert user_folder(environment) == Path(models)


@needs_root
def test_what_root_adds_beside_the_service_is_for_the_service(tmp_path: Path) -> None:
    """The service would never see what lies in root's home, and start without its model again and again."""
    assert user_folder({"HOME": "/root"}, tmp_path) == Path("/root/.local/share/edge-agender/models")
    unit = tmp_path / "usr/lib/systemd/system/edge-agender.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    assert user_folder({"HOME": "/root"}, tmp_path) == tmp_path / "var/lib/edge-agender/models"
    assert user_folder({"HOME": "/h", "STATE_DIRECTORY": "/s"}, tmp_path) == Path("/s/models")
    with nobody():
        assert user_folder({"HOME": "/h"}, tmp_path) == Path("/h/.local/share/edge-agender/models")


@needs_root
@pytest.mark.parametrize("environment", [{}, {"HOME": ""}, {"HOME": "relative"}])
def test_a_user_without_a_name_or_a_home_has_no_folders(environment: dict[str, str]) -> None:
    os.seteuid(54321)
    try:
        assert not has_home(state_folder(environment))
        assert not has_home(user_folder(environment))
        assert has_home(state_folder({"XDG_STATE_HOME": "/s"}))
    finally:
        os.seteuid(0)


@needs_root
def test_without_a_home_check_works_and_the_service_says_what_to_set() -> None:
    # It may read everything, so that it can read the interpreter wherever that is; but it is nobody.
    caps = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    nobody = ("setpriv", "--reuid=54321", "--clear-groups", *caps, sys.executable, "-m", "edge_agender")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*nobody, *words, "--set", "source.kind=demo", "--set", "web.enabled=false"]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={}, cwd=ROOT, timeout=600)

    checked = run("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert run("run", "--sink", "stdout", "--until-end", "--set", "source.demo.duration_s=1").returncode == 0
    refused = run("run")
    assert refused.returncode == 75
    assert "set outbox.path" in refused.stderr
    assert refused.stderr.count("\n") == 1
