"""A Mosquitto of our own: its configuration, who may log in, and its life.

Measured (docs/fleet.md): as it comes, Mosquitto forgets what it has acknowledged when it is killed; with the session
on disk every second and queues without a limit it loses next to nothing, and `resend` heals that.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agender.common.files import alone, replace_file
from edge_agender.errors import BrokerError, ConfigError, EdgeAgenderError
from edge_agender.fleet.settings import OwnBrokerConfig
from edge_agender.messages.commands import COMMAND_TOPICS
from edge_agender.messages.contract import PAYLOADS

_log = logging.getLogger(__name__)

COLLECTOR = "edge-agender-fleet"
START_S = 20.0
RESTART_S = 1.0
# A device reads the commands meant for it and writes its own messages; the user's name is the device's. Their topics by
# name: a stolen device could leave a retained message on any number of topics below its name.
WRITTEN = (*PAYLOADS, "doctor")
_ACL = """\
# Written by edge-agender fleet. Each device logs in with its own name (%u).
{devices}

user {collector}
topic readwrite {prefix}/#
"""
_CONFIGURATION = """\
# Written by edge-agender fleet at every start.
per_listener_settings false
listener {port} {host}
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 0
max_queued_bytes {queued_bytes}
max_inflight_messages 1000
max_packet_size 300000
log_dest stderr
log_type error
"""


@dataclass(frozen=True, slots=True)
class Programs:
    broker: str
    passwords: str


def find_programs() -> Programs:
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/usr/local/sbin"
    found = [shutil.which(name, path=path) for name in ("mosquitto", "mosquitto_passwd")]
    if found[0] is None or found[1] is None:
        raise ConfigError("broker: own needs Mosquitto: sudo apt install mosquitto, or set broker: mqtt")
    return Programs(found[0], found[1])


def with_us() -> tuple[str, ...]:
    """Return a command in front of another that ends it when this process is killed; empty where there is none.

    The unit's sandbox lets no setpriv change anything; systemd itself ends there what is left.
    """
    setpriv = shutil.which("setpriv")
    words = (setpriv, "--pdeathsig", "TERM") if setpriv else ()
    works = words and not subprocess.run([*words, "true"], capture_output=True, check=False).returncode
    return words if works else ()


class Credentials:
    """The password file and ACL in `folder`; a running broker reads them again on `reload`."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self._prefix = folder, prefix
        self._programs = find_programs()

    def prepare(self) -> str:
        """Write the ACL; return the collector's password, made at the first time.

        What stands there already is not written again: a full disk does not keep a broker from starting.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_if_changed(self.folder / "acl", self._acl())
        own = self.folder / "collector-password"
        made = not own.exists() or not own.read_text().strip()
        if made:
            write_if_changed(own, secrets.token_urlsafe(24) + "\n")
        password = own.read_text().strip()
        if made or COLLECTOR not in self.users():
            self.put(COLLECTOR, password)
        return password

    def _acl(self) -> str:
        rights = [("write", kind) for kind in WRITTEN] + [("read", command) for command in COMMAND_TOPICS.values()]
        devices = "\n".join(f"pattern {right} {self._prefix}/%u/{topic}" for right, topic in rights)
        return _ACL.format(devices=devices, prefix=self._prefix, collector=COLLECTOR)

    def users(self) -> set[str]:
        """Return who may log in."""
        return {line.partition(":")[0] for line in self._lines()}

    def put(self, user: str, password: str) -> None:
        """Let a user in with this password, in place of a former one."""
        # By standard input, twice as it asks: everybody on the machine can read command lines.
        self._change([], user, f"{password}\n{password}\n")

    def remove(self, user: str) -> None:
        if user in self.users():
            self._change(["-D"], user)

    def _lines(self) -> list[str]:
        file = self.folder / "passwords"
        return file.read_text().splitlines() if file.exists() else []

    def _change(self, words: Sequence[str], user: str, typed: str = "") -> None:
        """Change a copy, and put it in the place of the file once it is whole: a full disk costs nobody's login."""
        with alone(self.folder), tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            copy = Path(scratch) / "passwords"
            copy.touch(mode=0o600)
            copy.write_text("".join(f"{line}\n" for line in self._lines()))
            wanted = self.users() - {user} if words else self.users() | {user}
            command = [self._programs.passwords, *words, str(copy), user]
            done = subprocess.run(command, input=typed, text=True, capture_output=True, check=False)
            found = {line.partition(":")[0] for line in copy.read_text().splitlines()}
            if done.returncode or found != wanted:
                said = done.stderr.strip() or done.stdout.strip() or "the file is not whole"
                raise BrokerError(f"mosquitto_passwd: {said}: is there room on the disk?")
            write_if_changed(self.folder / "passwords", copy.read_text())


def write_if_changed(path: Path, text: str) -> None:
    """Replace a file whole, readable by the folder's owner alone; nothing is written where it says so already."""
    if path.exists() and path.read_text() == text:
        return
    replace_file(path, text.encode(), 0o600)
    if os.geteuid() == 0:
        # Written by an administrator's command for a service that runs as another user.
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


class OwnBroker:
    """A context manager: Mosquitto runs in between, started again where it ends."""

    def __init__(self, config: OwnBrokerConfig, folder: Path, prefix: str) -> None:
        self._config = config
        self.credentials = Credentials(folder, prefix)
        self._programs, self._with_us = find_programs(), with_us()
        self._process: subprocess.Popen[bytes] | None = None
        self._ends, self._starts = threading.Event(), threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="mosquitto", daemon=True)
        self.restarts = 0

    def __enter__(self) -> OwnBroker:
        try:
            self.password = self.credentials.prepare()
            self._write()
        except EdgeAgenderError:
            raise
        except OSError as error:
            raise BrokerError(f"{error.filename}: {error.strerror}: make room, or let this user write there") from None
        self._start()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Whatever is being started is there to be ended after that, and nothing is started any more.
        with self._starts:
            self._ends.set()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
        self._watcher.join(5)

    @property
    def client_id(self) -> str:
        """The collector's own: an ACL covers no client ids, and a device that guessed it could end the session."""
        return f"{COLLECTOR}-{hashlib.sha256(self.password.encode()).hexdigest()[:16]}"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def reload(self) -> None:
        """Have credentials and ACL read again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def _write(self) -> None:
        config, folder = self._config, self.credentials.folder
        where = {"host": config.host, "port": config.port, "folder": folder}
        text = _CONFIGURATION.format(**where, queued_bytes=int(config.queued_mb * 1e6))
        if os.geteuid() == 0:
            # Mosquitto would become another user, who cannot read what is ours alone.
            text += "user root\n"
        if config.certificate_file is not None:
            text += f"certfile {config.certificate_file}\nkeyfile {config.key_file}\n"
        write_if_changed(folder / "mosquitto.conf", text)

    def _start(self) -> None:
        folder = self.credentials.folder
        command: Sequence[str] = [*self._with_us, self._programs.broker, "-c", str(folder / "mosquitto.conf")]
        with self._starts:
            if self._ends.is_set():
                return
            # In a session of its own: Ctrl-C ends the collector first, and then this.
            self._process = subprocess.Popen(command, start_new_session=True)
        self._note_pid()
        until_s = time.monotonic() + START_S
        while not self._ends.is_set() and not self._answers():
            if self._process.poll() is not None or time.monotonic() > until_s:
                raise BrokerError(f"mosquitto does not listen on {self._config.host}:{self._config.port}: see above")
            time.sleep(0.02)

    def _note_pid(self) -> None:
        """For commands that have it read its files again."""
        try:
            write_if_changed(self.credentials.folder / "pid", f"{self.pid}\n")
        except OSError as error:
            _log.warning("%s: %s: logins that are made now count from the next start on", error.filename, error)

    def _answers(self) -> bool:
        host = "127.0.0.1" if self._config.host in ("0.0.0.0", "::", "") else self._config.host
        try:
            with socket.create_connection((host, self._config.port), 1.0):
                return True
        except OSError:
            return False

    def _watch(self) -> None:
        while not self._ends.is_set():
            if self._process is not None:
                self._process.wait()
            if self._ends.wait(RESTART_S):
                return
            _log.error("mosquitto has ended (%s): starting it again", self._process and self._process.returncode)
            self.restarts += 1
            try:
                self._start()
            except OSError as error:
                _log.error("%s", error)
