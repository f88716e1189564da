"""Upgrading, removing and purging."""

from __future__ import annotations

import shutil
from pathlib import Path

from system import CONFIG, DROP_IN, UNIT, Broker, main_pid, packages, sh, show, start, statuses, wait_for

LEFT_BEHIND = ("/opt", "/etc", "/var/lib", "/var/cache", "/var/log", "/usr/bin", "/usr/lib/systemd", "/usr/share/doc")


def check_upgrade(broker: Broker) -> None:
    """An upgrade keeps the configuration and starts the new version of what was running."""
    sh("systemctl", "reset-failed", UNIT)
    start()
    before, text = main_pid(), CONFIG.read_text()
    sh("dpkg", "--force-confold", "-i", packages().new)
    assert CONFIG.read_text() == text
    assert show("ActiveState") == "active"
    assert main_pid() != before
    assert sh("dpkg-query", "-W", "-f", "${Version}", "edge-agender").endswith("+upgrade")
    wait_for("online", lambda: statuses(broker)[-1:] == ["online"])


def check_remove(_broker: Broker) -> None:
    """Removing stops it and keeps configuration and state; installing again goes on with them."""
    text = CONFIG.read_text()
    DROP_IN.unlink(missing_ok=True)
    sh("dpkg", "-r", "edge-agender")
    assert not Path("/opt/edge-agender").exists(), list(Path("/opt/edge-agender").rglob("*"))[:5]
    assert sh("pgrep", "-f", "/opt/edge-agender", check=False) == ""
    assert CONFIG.read_text() == text
    assert Path("/var/lib/private/edge-agender").is_dir()
    sh("dpkg", "-i", packages().old)
    assert CONFIG.read_text() == text


def check_purge_with_the_state_on_a_mount(_broker: Broker) -> None:
    """A state folder that is a mount of its own is emptied, and purging succeeds."""
    state = Path("/var/lib/private/edge-agender")
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    sh("mount", "-t", "tmpfs", "tmpfs", str(state))
    (state / "windows.json").write_text("{}")
    secret = Path("/etc/credstore/edge-agender.mqtt-password")
    secret.write_text("hidden")
    said = sh("dpkg", "-P", "edge-agender")
    assert f"{state} cannot be removed" in said, said
    assert list(state.iterdir()) == []
    assert not secret.exists()
    sh("umount", str(state))
    state.rmdir()
    sh("dpkg", "-i", packages().old)


def check_purge(_broker: Broker) -> None:
    """Purging leaves nothing."""
    sh("dpkg", "-P", "edge-agender")
    left = [str(path) for place in LEFT_BEHIND for path in Path(place).rglob("*edge-agender*")]
    assert left == [], left


CHECKS = (check_upgrade, check_remove, check_purge_with_the_state_on_a_mount, check_purge)
