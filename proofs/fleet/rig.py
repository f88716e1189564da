"""Processes of a fleet on loopback: `edge-agender fleet serve` with its Mosquitto, and simulated devices."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from edge_agender.commands.fleet.target import opened
from edge_agender.config.token import Token
from edge_agender.fleet.accounts import put_account
from edge_agender.fleet.enrolment import enrol
from edge_agender.fleet.keeping import HOUR_S
from edge_agender.fleet.rollup import differing_hours
from edge_agender.fleet.settings import FleetConfig
from edge_agender.fleet.store import Database, open_database
from proofs.fleet.people import Place

READY_S = 120.0
STOP_S = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cli(*words: object) -> list[str]:
    return [sys.executable, "-m", "edge_agender", "fleet", *map(str, words)]


# Device, kind, boot, sequence.
MessageId = tuple[str, str, str, int]


@dataclass
class Rig:
    """A context manager: entering starts the collector and waits until it listens."""

    folder: Path
    settings: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    page_port: int = field(default_factory=free_port)
    password: str = "forty-boxes"
    # Of the devices' own disks; by default in the fleet's folder.
    devices: Path | None = None
    # What `fleet serve` says goes there in place of the terminal.
    log: Path | None = None
    # Lets a device in at a broker that is not the fleet's own.
    let_in: Callable[[str, str], None] | None = None

    def __post_init__(self) -> None:
        self.devices = self.devices or self.folder
        self._serve: subprocess.Popen[str] | None = None
        self._login_made = False
        # How long the last start took.
        self.start_s = 0.0
        self._boxes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.page_port}/"

    @property
    def store(self) -> Path:
        return self.folder / "fleet.sqlite3"

    @property
    def _values(self) -> list[str]:
        values = (f"folder={self.folder}", f"own.port={self.port}", f"page.port={self.page_port}", "log_level=warning")
        return [*values, *self.settings]

    @property
    def _options(self) -> list[str]:
        return [word for value in self._values for word in ("--set", value)]

    def _opened(self) -> AbstractContextManager[tuple[FleetConfig, Database]]:
        return opened(Namespace(config=None, overrides=self._values))

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
        """Make the page's login, and return once the collector collects."""
        if not self._login_made:
            with self._opened() as (_, database):
                put_account(database, "operator", self.password, "operator", "", time.time())
            self._login_made = True
        if (code := self.try_start()) is not None:
            raise SystemExit(f"fleet serve ended with exit code {code}")

    def try_start(self) -> int | None:
        """Return None once the collector collects, or its exit code where it did not come so far."""
        began_s = time.monotonic()
        self.launch()
        assert self._serve is not None
        assert self._serve.stdout is not None
        if not self._serve.stdout.readline():
            return self._serve.wait()
        self.start_s = time.monotonic() - began_s
        return None

    def launch(self) -> None:
        """Start the collector, and do not wait for it."""
        error = self.log.open("ab") if self.log is not None else None
        command = cli("serve", *self._options)
        self._serve = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=error, text=True)
        if error is not None:
            error.close()

    @property
    def ended(self) -> int | None:
        """The collector's exit code; None while it runs."""
        return None if self._serve is None else self._serve.poll()

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
        assert self._serve.stdout is not None
        self._serve.kill()
        self._serve.wait(60)
        self._serve.stdout.close()

    # -- devices

    def enrol(self, name: str, site: str = "") -> Token:
        """As `fleet enrol` does, without the start of another process."""
        with self._opened() as (config, database):
            token = enrol(database, config, name, "default", site, None, time.time())
        if self.let_in is not None:
            self.let_in(name, token.password)
        return token

    def start_box(
        self,
        place: Place,
        start_s: int,
        until_s: int,
        offline_s: float = 0.0,
        every_s: float = 1.0,
        clock_off_s: int = 0,
    ) -> None:
        assert self.devices is not None
        folder = self.devices / "boxes" / place.name
        folder.mkdir(parents=True)
        token = self.enrol(place.name, place.site)
        (folder / "password").write_text(token.password)
        host, _, port = token.hosts[0].rpartition(":")
        words = {
            **{"name": place.name, "place": place.name, "folder": folder, "port": port},
            **{"host": host, "password-file": folder / "password", "start": start_s, "until": until_s},
            **{"every": every_s, "offline": offline_s, "clock-off": clock_off_s},
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

    def sent(self) -> set[MessageId]:
        """Return what the devices' outboxes have had for certain."""
        assert self.devices is not None
        return sent_by(self.devices).put

    def stored(self) -> set[MessageId]:
        with sqlite3.connect(self.store, timeout=30) as database:
            return set(database.execute("SELECT device, kind, boot_id, sequence FROM message"))

    def progress(self) -> str:
        with sqlite3.connect(self.store, timeout=30) as database:
            gaps = database.execute("SELECT coalesce(sum(last - first + 1), 0) FROM gap").fetchone()[0]
        return f"sent {len(self.sent())}, stored {len(self.stored())}, missing now {gaps}"

    def settle(self, timeout_s: float = 60.0) -> None:
        """Wait until the collector has taken in everything and made every hour, or until it does no more."""
        until_s = time.monotonic() + timeout_s
        wanted = len(self.sent())
        while time.monotonic() < until_s:
            with sqlite3.connect(self.store, timeout=30) as database:
                stored = database.execute("SELECT count(*) FROM message").fetchone()[0]
                marked = database.execute("SELECT count(*) FROM dirty").fetchone()[0]
            if stored >= wanted and not marked:
                return
            time.sleep(0.2)


@dataclass
class Sent:
    """What the outbox had for certain, and the viewers and start of all."""

    put: set[MessageId] = field(default_factory=set)
    about: dict[MessageId, tuple[int, int]] = field(default_factory=dict)


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
    assert rig.devices is not None
    sent = sent_by(rig.devices)
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
