"""The package under a real systemd, in a container whose writes are thrown away (tests/real_systemd)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("script", ["run", "documented"])
def test_under_a_real_systemd(script: str) -> None:
    """The package and its service; the commands of the installation pages."""
    command = [str(Path(__file__).parent / script)]
    index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
        env=index | {"PYTHON": sys.executable, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
