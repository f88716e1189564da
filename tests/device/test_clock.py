"""Local time follows the machine's time zone while the process runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_agender.device.clock import zone_problem
from tests.support.paths import ROOT
from tests.support.unprivileged import needs_root

ZONES = Path("/usr/share/zoneinfo")
# Says the offset from UTC in hours, again for each line that it is given.
CODE = (
    "import sys, time; from datetime import UTC, datetime; from edge_agender.device.clock import local_now\n"
    "for _ in sys.stdin:\n"
    "    print(round((local_now() - datetime.now(UTC).replace(tzinfo=None)).total_seconds() / 3600), flush=True)"
)
# In a mount namespace of its own: this machine's zone stays as it is.
OTHER_ZONES = (
    'mount --bind "$0/Etc/GMT-3" /etc/localtime; echo >&3; read -r one <&4; '
    'mount --bind "$0/Etc/GMT+5" /etc/localtime; echo >&3; read -r two <&4; echo "$one $two"'
)


@needs_root
@pytest.mark.skipif(not (ZONES / "Etc/GMT-3").exists(), reason="no time zones are installed here")
@pytest.mark.parametrize("variable", [None, ":/etc/localtime", "/etc/localtime"])
def test_a_time_zone_that_is_changed_while_it_runs_is_followed(variable: str | None) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT)}
    environment |= {"TZ": variable} if variable else {}
    script = f"coproc EA {{ exec {sys.executable} -c '{CODE}'; }}; exec 3>&${{EA[1]}} 4<&${{EA[0]}}; {OTHER_ZONES}"
    words = ["unshare", "--mount", "--propagation", "private", "bash", "-euc", script, str(ZONES)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=600)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts of its own here: {done.stderr.strip()}")
    assert done.stdout.split() == ["3", "-5"], done.stderr


def test_a_machine_without_a_time_zone_is_named(tmp_path: Path) -> None:
    assert "timedatectl" in str(zone_problem({}, tmp_path / "none"))
    assert zone_problem({"TZ": "Europe/Berlin"}, tmp_path / "none") is None
    assert zone_problem({}, Path("/etc/hostname")) is None
