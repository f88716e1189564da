"""Run as root under a real systemd, in a clone: the installation's commands as the pages have them, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from system import CONFIG, UNIT, booted, journal, say, show, wait_for

PLACES = ("/opt", "/etc", "/var/lib", "/usr/local/bin")
# What this machine cannot do: Raspberry Pi's own package, an editor that waits for a person.
NOT_HERE = r"sudo apt install .*|sudo systemctl edit .*|edge-agender watch"
# What the person answers.
SETUP = "setup --yes --name box --broker 127.0.0.1 --source demo"
# A log that is followed ends when it is told to.
FOLLOWED = r"journalctl -f.*"
# They end with what the doctor finds: here is no broker.
MAY_FAIL = r"sudo edge-agender doctor|sudo \S*edge-agender setup"


def section(page: str, heading: str) -> list[str]:
    """Return the commands of the fenced shell blocks below a heading."""
    text = Path(page).read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert found, f"{page} has no {heading}"
    blocks = re.findall(r"^```sh\n(.*?)^```", found[1], re.S | re.M)
    lines = (re.sub(r"\s+# .*$|^# .*$", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def run(command: str) -> None:
    if re.fullmatch(NOT_HERE, command):
        say(f"      not here: {command}")
        return
    if sys.version_info >= (3, 13):
        command = command.replace("requirements-py3.11", "requirements-py3.13")
    text = re.sub(r"setup$", SETUP, command)
    text = f"timeout 3 {command} || [ $? = 124 ]" if re.fullmatch(FOLLOWED, command) else text
    done = subprocess.run(
        ["bash", "-c", text], input="correct horse\n", capture_output=True, text=True, timeout=900, check=False
    )
    good = done.returncode == 0 or re.fullmatch(MAY_FAIL, command)
    assert good, f"{command}: {done.stdout}{done.stderr}\n{journal()}"
    say(f"ok    {command}")


def run_all(page: str, heading: str, *, until: str = "", after: str = "") -> None:
    """Run the commands below a heading, up to one that starts with `until`, or from one that starts with `after` on."""
    commands = section(page, heading)
    marks = [i for i, command in enumerate(commands) if command.startswith(until or after)]
    commands = commands[: marks[0]] if until else commands[marks[0] :] if after else commands
    for command in commands:
        run(command)


def runs() -> None:
    """The service that the pages have installed is active and stays so."""
    run("sudo systemctl restart edge-agender")
    wait_for("active service", lambda: show("ActiveState") == "active" and show("StatusText"))
    assert show("NRestarts") == "0", journal()


def nothing_is_left() -> None:
    left = [str(path) for place in PLACES for path in Path(place).glob("**/*edge-agender*")]
    assert left == [], left


def main() -> None:
    os.chdir(Path(__file__).parents[2])
    booted()
    sudo = Path("/usr/local/bin/sudo")
    if not Path("/usr/bin/sudo").exists():
        sudo.write_text('#!/bin/sh\nexec "$@"\n')
        sudo.chmod(0o755)
    # The system's Python: one in somebody's home directory is none that a service may run.
    os.environ["PATH"] = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    run_all("README.md", "Install it on a Raspberry Pi")
    runs()
    run_all("docs/install.md", "A virtual environment", after="sudo systemctl disable")
    nothing_is_left()
    run_all("docs/install.md", "A virtual environment", until="sudo systemctl disable")
    run_all("docs/install.md", "Secrets")
    assert oct(Path("/etc/credstore/edge-agender.mqtt-password").stat().st_mode & 0o777) == "0o600"
    run("sudo ln -s /opt/edge-agender/bin/edge-agender /usr/local/bin/edge-agender")
    runs()
    run_all("docs/troubleshooting.md", "Troubleshooting", until="edge-agender check")
    run("journalctl -fu edge-agender")
    CONFIG.write_text(CONFIG.read_text() + "\n# changed\n")
    run("sudo systemctl reload edge-agender")
    wait_for("active service", lambda: show("ActiveState", UNIT) == "active")
    run_all("docs/install.md", "A virtual environment", after="sudo systemctl disable")
    nothing_is_left()
    say("passed")


main()
