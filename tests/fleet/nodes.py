"""Run as root under a real systemd: the three nodes of deploy/ on this machine, by its configuration and drop-in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from system import booted, say, sh, wait_for

DEPLOY = Path(__file__).parent / "deploy"
UNITS = Path("/etc/systemd/system")
NODES = (1, 2, 3)


def unit(number: int) -> str:
    return "nats-server" if number == 1 else f"nats-server-{number}"


def address(number: int) -> str:
    return f"127.0.0.{number}"


def install(number: int) -> None:
    """As deploy/README.md has it; what differs is the name and the addresses and, beside each other, the folders."""
    there = "" if number == 1 else f"-{number}"

    def beside(text: str) -> str:
        return re.sub(r"(/etc/nats|/var/lib/nats|StateDirectory=nats)\b", rf"\g<1>{there}", text)

    folder = Path(f"/etc/nats{there}")
    folder.mkdir()
    configuration = (
        (DEPLOY / "nats/nats.conf").read_text().replace("server_name: node-1", f"server_name: node-{number}")
    )
    (folder / "nats.conf").write_text(beside(configuration.replace("0.0.0.0", address(number))))
    (folder / "users.conf").write_text((DEPLOY / "nats/users.conf").read_text())
    for path in folder.iterdir():
        path.chmod(0o640)
        sh("chgrp", "nats", str(path))
    if there:
        debian = Path("/usr/lib/systemd/system/nats-server.service").read_text()
        (UNITS / f"{unit(number)}.service").write_text(debian)
    drop_in = UNITS / f"{unit(number)}.service.d/fleet.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(beside((DEPLOY / "systemd/nats-server.conf").read_text()))


def publishes(number: int, user: str = "lobby") -> bool:
    """A device's message is acknowledged by this node: it is on more than half of the three."""
    words = ["-h", address(number), "-V", "mqttv311", "-i", user, "-u", user, "-P", "CHANGE-ME", "-q", "1"]
    command = ["mosquitto_pub", *words, "-t", f"edge-agender/{user}/window", "-m", "{}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def journal() -> str:
    return "".join(sh("journalctl", "-o", "cat", "-n", "15", "--no-pager", "-u", unit(number)) for number in NODES)


def check() -> None:
    for number in NODES:
        wait_for(f"acknowledgement by node {number}", lambda number=number: publishes(number), 240)  # type: ignore[misc]
    say("ok    each of three nodes acknowledges a device's message")
    for number in NODES:
        state = Path(f"/var/lib/nats{'' if number == 1 else f'-{number}'}")
        assert (state.owner(), state.joinpath("jetstream").is_dir()) == ("nats", True), sh("ls", "-la", str(state))
    say("ok    what they keep is in /var/lib/nats, of the user nats")
    limit = sh("systemctl", "show", "--value", "-p", "LimitNOFILE", unit(1)).strip()
    assert limit == "65536", limit
    sh("systemctl", "kill", "-s", "KILL", unit(1))
    wait_for("start after a kill", lambda: publishes(1))
    assert sh("systemctl", "show", "--value", "-p", "NRestarts", unit(1)).strip() == "1"
    say("ok    a node that is killed is started again")
    assert not publishes(1, "bakery"), "a device that nobody entered"
    users = Path("/etc/nats/users.conf")
    lobby = re.search(r"\n    \{\n      user: lobby.*?\n    \}\n", users.read_text(), re.S)
    assert lobby
    users.write_text(users.read_text().replace(lobby[0], lobby[0] + lobby[0].replace("lobby", "bakery")))
    sh("systemctl", "reload", unit(1))
    wait_for("a device that was entered", lambda: publishes(1, "bakery"))
    say("ok    a device is let in by a reload")
    sh("systemctl", "stop", unit(1), timeout_s=60)
    assert sh("systemctl", "show", "--value", "-p", "Result", unit(1)).strip() == "success"
    wait_for("the two others go on", lambda: publishes(2))
    say("ok    it stops at once, and the two others go on")


def main() -> None:
    booted()
    hosts = Path("/etc/hosts")
    names = "".join(f"{address(number)} node-{number}\n" for number in NODES)
    hosts.write_text("127.0.0.1 localhost\n" + names)
    for number in NODES:
        install(number)
    sh("systemctl", "daemon-reload")
    sh("systemctl", "restart", *(unit(number) for number in NODES))
    try:
        check()
    except AssertionError:
        say(journal())
        raise
    say("passed")


if __name__ == "__main__":
    sys.exit(main())
