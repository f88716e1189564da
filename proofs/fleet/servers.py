"""Three nodes of NATS with JetStream and MQTT, and a PostgreSQL, on loopback; stopped by pid.

NATS 2.10 and PostgreSQL 17 come from the Debian 13 root that `tests/fleet/root` builds; a machine that has them itself
may do without.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from proofs.fleet.rig import free_port

ROOT = Path(os.environ.get("FLEET_ROOT", "/var/tmp/edge-agender-fleet-root"))
READY_S = 60.0
# Below it, a subscriber with several filters and the replicas of MQTT's streams are not to be had.
NATS_FROM = (2, 10)
USER, PASSWORD = "fleet", "fleet-password"


class NotHereError(RuntimeError):
    """This machine lacks a server that the proof needs."""


def nats_program() -> str:
    """Return a nats-server that is new enough; raise NotHereError."""
    places = [
        shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin"),
        ROOT / "usr/sbin/nats-server",
    ]
    for place in places:
        if place is None or not Path(place).exists():
            continue
        said = subprocess.run([str(place), "--version"], capture_output=True, text=True, check=False).stdout
        if (found := re.search(r"v(\d+)\.(\d+)", said)) and (int(found[1]), int(found[2])) >= NATS_FROM:
            return str(place)
    raise NotHereError("no nats-server from 2.10 on: tests/fleet/root builds a Debian 13 root that has one")


@dataclass
class Node:
    number: int
    folder: Path
    client_port: int = field(default_factory=free_port)
    cluster_port: int = field(default_factory=free_port)
    mqtt_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None


class Nats:
    """A context manager: three nodes run in between, each with its own store. `users`: as in deploy/nats/users.conf."""

    def __init__(self, folder: Path, count: int = 3, users: str = "") -> None:
        self._program, self._users = nats_program(), users
        self.nodes = [Node(number, folder / f"nats-{number}") for number in range(count)]

    def __enter__(self) -> Nats:
        for node in self.nodes:
            self._write(node)
            self.start(node)
        for node in self.nodes:
            self.wait(node)
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            self.kill(node, signal.SIGTERM)

    def _write(self, node: Node) -> None:
        node.folder.mkdir(parents=True)
        routes = ", ".join(f'"nats://127.0.0.1:{one.cluster_port}"' for one in self.nodes)
        cluster = f"name: fleet, listen: 127.0.0.1:{node.cluster_port}, routes: [{routes}]"
        (node.folder / "nats.conf").write_text(
            f"server_name: node-{node.number}\nlisten: 127.0.0.1:{node.client_port}\n"
            f'jetstream {{ store_dir: "{node.folder}", sync_interval: "1s", max_mem: 64M, max_file: 2G }}\n'
            + (f"cluster {{ {cluster} }}\n" if len(self.nodes) > 1 else "")
            + f"mqtt {{ listen: 127.0.0.1:{node.mqtt_port}, stream_replicas: {len(self.nodes)} }}\n"
            + (self._users or f"authorization {{ user: {USER}, password: {PASSWORD} }}\n")
        )

    def start(self, node: Node) -> None:
        log = (node.folder / "log").open("ab")
        node.process = subprocess.Popen([self._program, "-c", str(node.folder / "nats.conf")], stdout=log, stderr=log)
        log.close()

    def wait(self, node: Node) -> None:
        """Return once the node takes MQTT connections."""
        until_s = time.monotonic() + READY_S
        while time.monotonic() < until_s:
            with suppress(OSError), socket.create_connection(("127.0.0.1", node.mqtt_port), 1):
                return
            time.sleep(0.1)
        raise RuntimeError(f"node {node.number}: {(node.folder / 'log').read_text()[-500:]}")

    def kill(self, node: Node, number: int = signal.SIGKILL) -> None:
        if node.process is not None:
            node.process.send_signal(signal.SIGCONT)
            node.process.send_signal(number)
            node.process.wait(30)
        node.process = None

    def freeze(self, node: Node) -> None:
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)

    def thaw(self, node: Node) -> None:
        assert node.process is not None
        node.process.send_signal(signal.SIGCONT)

    @property
    def clients(self) -> list[str]:
        return [f"nats://127.0.0.1:{node.client_port}" for node in self.nodes]

    @property
    def mqtt(self) -> list[str]:
        return [f"127.0.0.1:{node.mqtt_port}" for node in self.nodes]


class Postgresql:
    """A context manager: one cluster of its own on a free port, as the user postgres.

    Where the Debian 13 root is, and this process is root, PostgreSQL 17 runs in it; else this machine's. `passing`: its
    data is of no use afterwards, so nothing is synced, and it ends at once.
    """

    def __init__(self, folder: Path, *, passing: bool = False) -> None:
        self.port, self._passing = free_port(), passing
        in_root = sorted((ROOT / "usr/lib/postgresql").glob("*/bin"))
        here = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self._as_user: list[str] = []
        if in_root and os.geteuid() == 0:
            self._root, programs = ROOT, in_root[-1]
            self._as_user = ["chroot", "--userspec=postgres:postgres", str(ROOT)]
            self._folder = ROOT / "tmp" / f"postgresql-{os.getpid()}"
        elif here:
            self._root, programs, self._folder = Path("/"), here[-1], folder / "postgresql"
            self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        else:
            raise NotHereError("no PostgreSQL here: apt install postgresql, or tests/fleet/root")
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self, program: str, *words: object) -> list[str]:
        place = Path("/") / (self._programs / program).relative_to(self._root)
        return [*self._as_user, str(place), *map(str, words)]

    @property
    def _data(self) -> Path:
        """The folder as PostgreSQL sees it."""
        return Path("/") / (self._folder / "data").relative_to(self._root)

    def __enter__(self) -> Postgresql:
        self._folder.mkdir(parents=True)
        if os.geteuid() == 0:
            passwd = (self._root / "etc/passwd").read_text()
            found = re.search(r"^postgres:[^:]*:(\d+):(\d+):", passwd, re.M)
            if found is None:
                raise NotHereError("PostgreSQL does not run as root, and there is no user postgres")
            os.chown(self._folder, int(found[1]), int(found[2]))
        # There is no shared memory of the system in a root.
        memory = ("-c", "dynamic_shared_memory_type=mmap")
        make = self._command("initdb", "-D", self._data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        try:
            subprocess.run(make, check=True, capture_output=True, cwd="/")
        except subprocess.CalledProcessError as error:
            shutil.rmtree(self._folder)
            raise NotHereError(f"initdb: {error.stderr.decode()[-200:].strip()}") from None
        log = (self._folder / "log").open("wb")
        memory = (*memory, "-c", "fsync=off") if self._passing else memory
        options = ("-p", self.port, "-k", self._data.parent, "-c", "listen_addresses=127.0.0.1", *memory)
        run = self._command("postgres", "-D", self._data, *options)
        self._process = subprocess.Popen(run, stdout=log, stderr=log, cwd="/")
        log.close()
        until_s = time.monotonic() + READY_S
        while time.monotonic() < until_s and not self._answers():
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            # SIGTERM would wait for connections, SIGINT does not, SIGQUIT makes no checkpoint either.
            os.kill(self.pid, signal.SIGQUIT if self._passing else signal.SIGINT)
            self._process.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        return int((self._folder / "data" / "postmaster.pid").read_text().splitlines()[0])

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def version(self) -> str:
        command = self._command("postgres", "--version")
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.split()[2]
