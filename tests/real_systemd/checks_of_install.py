"""Installing and setting up: what the package and `setup` leave on the system."""

from __future__ import annotations

import json
import stat
import tempfile
import time
from pathlib import Path

from system import CONFIG, UNIT, Broker, guarded_broker, packages, say, sh, show

FIRST_MESSAGE_S = 300
STARTED_S: dict[str, float] = {}


def check_install(_broker: Broker) -> None:
    """The package installs, is enabled and not started, and its program works."""
    # Container images forbid packages to start and stop services; a real machine does not.
    Path("/usr/sbin/policy-rc.d").unlink(missing_ok=True)
    STARTED_S["install"] = time.monotonic()
    sh("dpkg", "-i", packages().old)
    say(f"      installed in {time.monotonic() - STARTED_S['install']:.0f} s")
    assert show("UnitFileState") == "enabled", show("UnitFileState")
    assert show("ActiveState") == "inactive", show("ActiveState")
    assert sh("edge-agender", "--version").startswith("edge-agender ")
    assert sh("dpkg", "-V", "edge-agender") == "", "dpkg finds changed files"


def check_setup(_broker: Broker) -> None:
    """With setup alone, the first message is at a broker with passwords in under five minutes from the install on."""
    with tempfile.TemporaryDirectory() as folder, guarded_broker(Path(folder), "box", "right") as port:
        flags = ["--yes", "--source", "demo", "--name", "box", "--broker", "localhost", "--port", str(port)]
        flags += ["--user", "box", "--privacy", "viewer", "--password-file"]
        wrong, right = Path(folder, "wrong"), Path(folder, "right")
        wrong.write_text("wrong\n")
        right.write_text("right\n")
        said = sh("edge-agender", "setup", *flags, str(wrong), check=False)
        assert "the name or the password is wrong" in said, said
        said = sh("edge-agender", "setup", *flags, str(right), check=False)
        assert "started:" in said, said
        first = sh(
            "mosquitto_sub", "-p", str(port), "-u", "box", "-P", "right", "-t", "+/box/frame", "-C", "1", "-W", "120"
        )
        took_s = time.monotonic() - STARTED_S["install"]
    assert json.loads(first)["device"] == "box"
    assert took_s < FIRST_MESSAGE_S, took_s
    say(f"      first message {took_s:.0f} s after the install began, a wrong password in between")
    secret = Path("/etc/credstore/edge-agender.mqtt-password")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert [path.name for path in CONFIG.parent.glob("*.bak")], "the shipped configuration is not kept"
    say("".join(f"      {line}\n" for line in said.splitlines()).rstrip())
    sh("systemctl", "stop", UNIT)


def check_setup_of_a_pip_installation(_broker: Broker) -> None:
    """Where no package brought the unit, setup installs, enables and starts one; without a broker it does so too."""
    packaged, own = Path(f"/usr/lib/systemd/system/{UNIT}"), Path(f"/etc/systemd/system/{UNIT}")
    text = packaged.read_text()
    sh("systemctl", "disable", UNIT)
    packaged.unlink()
    said = sh("edge-agender", "setup", "--yes", "--source", "demo", "--broker", "localhost", "--user", "-", check=False)
    assert "nothing listens there" in said, said
    assert own.read_text() == text
    assert (show("ActiveState"), show("UnitFileState")) == ("active", "enabled"), said
    sh("systemctl", "stop", UNIT)
    own.unlink()
    packaged.write_text(text)
    sh("systemctl", "daemon-reload")
    sh("systemctl", "reenable", UNIT)


def check_selftest(_broker: Broker) -> None:
    """The installation finds, counts and judges the demo's faces as it should."""
    sh("edge-agender", "selftest")


def check_unit(_broker: Broker) -> None:
    """systemd knows every line of the unit and counts an exposure of 1.5 or better."""
    path = f"/usr/lib/systemd/system/{UNIT}"
    assert sh("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path) == ""
    sh("systemd-analyze", "security", "--threshold=15", "--no-pager", UNIT)


CHECKS = (check_install, check_setup, check_setup_of_a_pip_installation, check_selftest, check_unit)
