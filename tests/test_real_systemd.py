"""The package under a real systemd, in a container whose writes are thrown away (tests/real_systemd/run)."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_service_under_a_real_systemd() -> None:
    command = [str(Path(__file__).parent / "real_systemd" / "run")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
        env={"PYTHON": sys.executable, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
