"""What the checks do to the system around them: units, packages, the broker, configurations."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

UNIT = "edge-agender.service"
CONFIG = Path("/etc/edge-agender/config.yaml")
DROP_IN = Path("/run/systemd/system/edge-agender.service.d/test.conf")
TOPIC = "edge-agender/box"
BASE = {
    "device": {"name": "box"},
    "source": {"kind": "demo"},
    "mqtt": {"host": "127.0.0.1", "reconnect_max_s": 1},
    "publish": {"health_s": 1},
    "web": {"enabled": False},
}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def sh(*command: str, check: bool = True, timeout_s: float = 600) -> str:
    """Run a command and return what it prints; its failure is the check's failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def show(name: str, unit: str = UNIT) -> str:
    return sh("systemctl", "show", "--value", "-p", name, unit).strip()


def start(verb: str = "start") -> None:
    """Start or restart the service; again where systemd itself failed at this machine's cgroups (219)."""
    for _ in range(3):
        done = sh("systemctl", verb, UNIT, check=False)
        if show("ActiveState") == "active":
            return
        assert "status=219/CGROUP" in journal(), done
        sh("systemctl", "stop", UNIT)
        sh("systemctl", "reset-failed", UNIT, check=False)
    raise AssertionError(f"it does not start; journal:\n{journal()}")


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 180) -> Any:
    """Return the condition's first true value; fail, saying what was waited for."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        with contextlib.suppress(AssertionError):
            if value := condition():
                return value
        time.sleep(0.1)
    raise AssertionError(f"no {what} within {seconds:g} s; journal:\n{journal()}")


def booted() -> None:
    """Wait until systemd has nothing left to start by itself: the container does so for ten seconds only."""
    done = ("running", "degraded")
    wait_for("booted system", lambda: sh("systemctl", "is-system-running", check=False).strip() in done)


def journal(lines: int = 15) -> str:
    sh("journalctl", "--sync", check=False)  # it writes down late what was said
    return sh("journalctl", "-o", "cat", "-n", str(lines), "--no-pager", "-u", UNIT, check=False)


def configure(**sections: dict[str, Any]) -> None:
    """Write a configuration: the base and these sections (JSON is YAML)."""
    merged = {name: {**BASE.get(name, {}), **sections.get(name, {})} for name in {*BASE, *sections}}
    CONFIG.write_text(json.dumps(merged, indent=1) + "\n")


def drop_in(text: str) -> None:
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(text)
    sh("systemctl", "daemon-reload")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stored_windows() -> int:
    """How many windows wait on disk, counted in a copy: the daemon lets nobody else into its store."""
    with tempfile.TemporaryDirectory() as folder:
        for path in Path("/var/lib/edge-agender").glob("outbox.sqlite3*"):
            shutil.copy(path, folder)
        try:
            with contextlib.closing(sqlite3.connect(Path(folder, "outbox.sqlite3"))) as store:
                return int(store.execute("SELECT count(*) FROM message WHERE topic LIKE '%/window'").fetchone()[0])
        except sqlite3.Error:  # copied while it was written
            return 0


class Broker:
    """A Mosquitto on loopback, and a subscriber that writes down what it hears."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "mosquitto.conf"
        self._config.write_text("listener 1883 127.0.0.1\nallow_anonymous true\n")
        self._heard = folder / "heard"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._processes = [
            subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(self._config)], stderr=subprocess.DEVNULL)
        ]
        until = ["mosquitto_pub", "-h", "127.0.0.1", "-t", "probe", "-m", "x"]
        wait_for("broker", lambda: subprocess.run(until, capture_output=True, check=False).returncode == 0)
        with self._heard.open("ab") as file:
            command = ["mosquitto_sub", "-h", "127.0.0.1", "-v", "-t", f"{TOPIC}/#"]
            self._processes.append(subprocess.Popen(command, stdout=file))
        before = len(self.heard("probe"))
        # Started is not yet subscribed, and a window is said once.
        wait_for("subscriber", lambda: self._say_probe() or len(self.heard("probe")) > before)

    def _say_probe(self) -> None:
        sh("mosquitto_pub", "-h", "127.0.0.1", "-t", f"{TOPIC}/probe", "-m", "{}")

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait()

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """Every message of a kind, in order; the last line may be half written."""
        start = f"{TOPIC}/{kind} "
        written = self._heard.read_bytes() if self._heard.exists() else b""
        lines = written[: written.rfind(b"\n") + 1].decode().splitlines()
        return [json.loads(line.removeprefix(start)) for line in lines if line.startswith(start)]

    def forget(self) -> None:
        self._heard.write_bytes(b"")


@contextlib.contextmanager
def guarded_broker(folder: Path, user: str, password: str) -> Iterator[int]:
    """Another Mosquitto, which lets nobody in without a password; its port."""
    port, config, users = 1884, folder / "guarded.conf", folder / "users"
    sh("mosquitto_passwd", "-c", "-b", str(users), user, password)
    config.write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous false\npassword_file {users}\n")
    process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    until = ["mosquitto_pub", "-p", str(port), "-u", user, "-P", password, "-t", "probe", "-m", "x"]
    try:
        wait_for("broker", lambda: subprocess.run(until, capture_output=True, check=False).returncode == 0)
        yield port
    finally:
        process.terminate()
        process.wait()


def main_pid() -> int:
    return int(show("MainPID"))


def statuses(broker: Broker) -> list[str]:
    return [message["state"] for message in broker.heard("status")]


def anew(broker: Broker) -> int:
    """Stop the service and start it; return its process once it, and no former one, is heard to be online."""
    sh("systemctl", "stop", UNIT)
    wait_for("goodbye", lambda: statuses(broker)[-1:] != ["online"])
    broker.forget()
    start()
    wait_for("online", lambda: statuses(broker)[-1:] == ["online"])
    return main_pid()


class Packages(NamedTuple):
    old: str
    new: str


def packages() -> Packages:
    """The two packages that the command line names."""
    return Packages(*sys.argv[1:3])
