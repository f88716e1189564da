"""Processes of a fleet on loopback: `edge-agender fleet serve` with its Mosquitto, and simulated devices."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_agender.config.token import read_token
from edge_agender.fleet.keeping import HOUR_S
from edge_agender.fleet.rollup import differing_hours
from edge_agender.fleet.store import open_database
from proofs.fleet.people import Place

READY_S = 120.0
STOP_S = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cli(*words: object) -> list[str]:
    return [sys.executable, "-m", "edge_agender", "fleet", *map(str, words)]


@dataclass
class Rig:
    """A context manager: entering starts the collector and waits until it listens."""

    folder: Path
    settings: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    page_port: int = field(default_factory=free_port)
    password: str = "forty-boxes"

    def __post_init__(self) -> None:
        self._serve: subprocess.Popen[str] | None = None
        self._boxes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.page_port}/"

    @property
    def store(self) -> Path:
        return self.folder / "fleet.sqlite3"

    @property
    def _options(self) -> list[str]:
        values = (f"folder={self.folder}", f"own.port={self.port}", f"page.port={self.page_port}", "log_level=warning")
        return [word for value in (*values, *self.settings) for word in ("--set", value)]

    def __enter__(self) -> Rig:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for box in self._boxes.values():
            if box.poll() is None:
                box.kill()
            box.wait()
        self.stop()

    # -- the collector

    def start(self) -> None:
        """Make the page's login, and return once the collector listens."""
        login = [*cli("user", "operator", "--role", "operator", *self._options)]
        subprocess.run(login, input=self.password + "\n", text=True, check=True, stdout=subprocess.DEVNULL)
        self._serve = subprocess.Popen([*cli("serve", *self._options)], stdout=subprocess.PIPE, text=True)
        assert self._serve.stdout is not None
        line = self._serve.stdout.readline()
        if not line:
            raise SystemExit(f"fleet serve ended with exit code {self._serve.wait()}")

    def stop(self) -> None:
        if self._serve is not None:
            self._serve.terminate()
            self._serve.wait(60)
            assert self._serve.stdout is not None
            self._serve.stdout.close()
        self._serve = None

    def kill(self) -> None:
        """SIGKILL; its broker goes with it."""
        assert self._serve is not None
        self._serve.kill()
        self._serve.wait(60)

    # -- devices

    def start_box(self, place: Place, start_s: int, until_s: int, offline_s: float = 0.0, every_s: float = 1.0) -> None:
        folder = self.folder / "boxes" / place.name
        folder.mkdir(parents=True)
        made = subprocess.run(
            cli("enrol", place.name, "--site", place.site, *self._options), capture_output=True, text=True, check=True
        )
        token = made.stdout.split("--enrol", 1)[1].split()[0]
        read = read_token(token)
        (folder / "password").write_text(read.password)
        host, _, port = read.hosts[0].rpartition(":")
        words = {
            **{"name": place.name, "place": place.name, "folder": folder, "port": port},
            **{"host": host, "password-file": folder / "password", "start": start_s, "until": until_s},
            **{"every": every_s, "offline": offline_s},
        }
        options = [word for name, value in words.items() for word in (f"--{name}", str(value))]
        self._commands[place.name] = [sys.executable, "-m", "proofs.fleet.box", *options]
        self._boxes[place.name] = subprocess.Popen(self._commands[place.name])

    def kill_box(self, name: str) -> None:
        self._boxes[name].kill()
        self._boxes[name].wait()

    def restart_box(self, name: str) -> None:
        command = list(self._commands[name])
        command[command.index("--offline") + 1] = "0"
        self._boxes[name] = subprocess.Popen(command)

    def stop_boxes(self) -> None:
        """Let every device hand over what it has, and end."""
        for box in self._boxes.values():
            box.send_signal(signal.SIGTERM)
        for box in self._boxes.values():
            box.wait(STOP_S)

    def progress(self) -> str:
        sent = sum(1 for path in self.folder.glob("boxes/*/journal") for line in path.open() if '"put"' in line)
        with sqlite3.connect(self.store, timeout=30) as database:
            stored = database.execute("SELECT count(*) FROM message").fetchone()[0]
            gaps = database.execute("SELECT coalesce(sum(last - first + 1), 0) FROM gap").fetchone()[0]
        return f"sent {sent}, stored {stored}, missing now {gaps}"

    def settle(self, timeout_s: float = 60.0) -> None:
        """Wait until the collector has taken in everything and made every hour, or until it does no more."""
        until_s = time.monotonic() + timeout_s
        wanted = len(sent_by(self.folder).put)
        while time.monotonic() < until_s:
            with sqlite3.connect(self.store, timeout=30) as database:
                stored = database.execute("SELECT count(*) FROM message").fetchone()[0]
                marked = database.execute("SELECT count(*) FROM dirty").fetchone()[0]
            if stored >= wanted and not marked:
                return
            time.sleep(0.2)


@dataclass
class Sent:
    """By (device, kind, boot, sequence): what the outbox had for certain, and the viewers and start of all."""

    put: set[tuple[str, str, str, int]] = field(default_factory=set)
    about: dict[tuple[str, str, str, int], tuple[int, int]] = field(default_factory=dict)


def sent_by(folder: Path) -> Sent:
    sent = Sent()
    for path in sorted(folder.glob("boxes/*/journal")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            key = (path.parent.name, entry["kind"], entry["boot_id"], entry["sequence"])
            if entry["step"] == "put":
                sent.put.add(key)
            else:
                sent.about[key] = (entry["start_s"], entry["viewers"])
    return sent


@dataclass(frozen=True)
class Result:
    sent: int
    stored: int
    twice: int
    lost: int
    hours_differ: int

    @property
    def exact(self) -> bool:
        return self.sent == self.stored and not (self.twice or self.lost or self.hours_differ)

    def line(self) -> str:
        differ = f" hours that differ {self.hours_differ}" if self.hours_differ else ""
        return f"sent {self.sent} stored {self.stored} twice {self.twice} lost {self.lost}{differ}"


def count(rig: Rig) -> Result:
    """Hold what the devices wrote down against the store: the messages, and the viewers hour by hour.

    A message of which a killed device does not know any more whether its outbox had it counts as sent where it came.
    """
    sent = sent_by(rig.folder)
    database = open_database(f"sqlite:///{rig.store}")
    with database.reading() as transaction:
        rows = transaction.rows("SELECT device, kind, boot_id, sequence FROM message")
        windows = transaction.rows("SELECT device, boot_id, count(*) FROM message WHERE kind = 'window' GROUP BY 1, 2")
        hours = transaction.rows("SELECT device, hour_s, viewers FROM hour WHERE content = ''")
    stored = {(row[0], row[1], row[2], row[3]) for row in rows}
    came = {key for key in sent.about if key in stored}
    counted = Counter({(device, hour_s): viewers for device, hour_s, viewers in hours})
    wanted: Counter[tuple[str, int]] = Counter()
    for key in came:
        if key[1] == "window":
            start_s, viewers = sent.about[key]
            wanted[key[0], start_s // HOUR_S * HOUR_S] += viewers
    differ = sum(counted[hour] != wanted[hour] for hour in {*counted, *wanted})
    differ += len(differing_hours(database))
    database.close()
    assert windows or not sent.put
    return Result(
        sent=len(sent.put | came),
        stored=len(stored),
        twice=len(rows) - len(stored) + len(stored - set(sent.about)),
        lost=len(sent.put - stored),
        hours_differ=differ,
    )
