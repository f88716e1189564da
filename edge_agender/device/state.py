"""What survives a restart: small JSON files in one folder, replaced whole or not at all, validated when read.

What a file holds was written by who knows whom: a former version, another device's card, a power cut. What cannot be
right is renamed, so that the next start does not meet it again, and stands among the alarms until then.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_agender.common import strict_json
from edge_agender.common.files import NotAFileError, open_file, replace_file, sync_folder
from edge_agender.errors import StateError

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
# Only the newest are kept: a dying card must not fill itself with its own remains.
KEPT_ASIDE = 2


class StateFolder:
    """JSON files in one folder. A file that cannot be read or written is an alarm, never the end of counting.

    Without a folder nothing is read and nothing is kept: so runs a try-out beside the service. `alarms` holds one line
    a trouble that goes on.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._troubles: dict[str, str] = {}
        self._aside: dict[str, str] = {}
        self._unreadable: set[str] = set()

    @property
    def alarms(self) -> tuple[str, ...]:
        return (*self._aside.values(), *self._troubles.values())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; raise StateError where another process does. A folder that cannot be made is no obstacle."""
        descriptor = self._open_folder()
        try:
            if descriptor is not None:
                _lock(descriptor, self._folder)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def load(self, name: str) -> Any:
        """Return what `save` wrote under this name; None where nothing was, or nothing that can be used."""
        if self._folder is None:
            return None
        path = self._path(name)
        try:
            value = strict_json.parse(_read(path))
            if value is None:
                raise ValueError("holds nothing")
            return value
        except FileNotFoundError:
            return None
        except (NotAFileError, ValueError) as error:
            self.set_aside(name, getattr(error, "strerror", None) or str(error))
        except OSError as error:
            if error.errno == _LOOP:
                self.set_aside(name, "a symbolic link, not a file")
                return None
            self._unreadable.add(name)
            self._trouble(name, f"{path}: cannot be read: {error.strerror}: give the folder to the service's user")
        return None

    def written_utc_s(self, name: str) -> float | None:
        """Return when that was saved, by the clock of then; None where nothing was."""
        if self._folder is None:
            return None
        try:
            return self._path(name).stat(follow_symlinks=False).st_mtime
        except OSError:
            return None

    def doubts(self, name: str) -> bool:
        """Return whether something was saved under this name that could not be used when it was loaded."""
        return name in self._aside or name in self._unreadable

    def set_aside(self, name: str, reason: str) -> None:
        """Rename what cannot be used, so that it is neither read again nor lost to whoever looks for the cause."""
        if self._folder is None:
            return
        path = self._path(name)
        target = _aside(path)
        text = f"{path}: {reason}: set aside as {target.name}"
        try:
            path.rename(target)
            sync_folder(self._folder)
        except OSError as error:
            text = f"{path}: {reason}: it cannot be set aside ({error.strerror}), and is ignored"
        log.warning("%s", text)
        self._aside[name] = text

    def save(self, name: str, value: Any) -> bool:
        """Replace the file; False where the disk does not take it."""
        return self.write(name, json.dumps(value, allow_nan=False))

    def write(self, name: str, text: str) -> bool:
        """Like `save`, of what is JSON already."""
        if self._folder is None:
            return True
        path = self._path(name)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, text.encode(), 0o600)
        except OSError as error:
            reason = f"{error.strerror}: free some space or correct the folder's owner"
            self._trouble(name, f"{path}: cannot be written: {reason}")
            return False
        if self._troubles.pop(name, None):
            log.info("%s: is written again", path)
        return True

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{name}.json"

    def _open_folder(self) -> int | None:
        if self._folder is None:
            return None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            # The outbox says the same of the same folder, and what to do.
            log.debug("%s: cannot be locked: %s", self._folder, error.strerror)
            return None

    def _trouble(self, name: str, text: str) -> None:
        log.log(logging.DEBUG if name in self._troubles else logging.WARNING, "%s", text)
        self._troubles[name] = text


class LateSaver:
    """Saves one name's latest value from a thread of its own: a card that stalls must not stall the counting.

    The process does not end before the value is written.
    """

    def __init__(self, folder: StateFolder, name: str) -> None:
        self._folder, self._name = folder, name
        self._lock = threading.Lock()
        self._waiting: str | None = None
        self._asked = self._settled = 0
        self._thread: threading.Thread | None = None

    def save(self, value: Any) -> int:
        """Have this on disk soon; what waited to be written is left out. Returns a ticket for `settled`."""
        text = json.dumps(value, allow_nan=False)
        with self._lock:
            self._waiting = text
            self._asked += 1
            ticket = self._asked
            works = self._thread is not None or self._start()
        if not works:
            self._work()
        return ticket

    def _start(self) -> bool:
        """Start the thread; False where there are no more of them: then the caller writes, whatever the card does."""
        self._thread = threading.Thread(target=self._work, name="state")
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
        return self._thread is not None

    def settled(self, ticket: int) -> bool:
        """Return whether the value of that ticket, or a later one, is on disk or was refused by it."""
        with self._lock:
            return self._settled >= ticket

    def wait(self, timeout_s: float) -> bool:
        """Wait until all is written; False where that took longer."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._lock:
                text, self._waiting, ticket = self._waiting, None, self._asked
                if text is None:
                    self._thread = None
                    return
            try:
                self._folder.write(self._name, text)
            except Exception as error:  # the thread goes on: who waits for its tickets would wait for ever
                log.warning("%s: cannot be saved: %r", self._name, error)
            with self._lock:
                self._settled = ticket


_LOOP = 40  # errno.ELOOP: a symbolic link where O_NOFOLLOW forbids one


def _read(path: Path) -> bytes:
    with os.fdopen(open_file(path, os.O_NOFOLLOW), "rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
    return raw


def _aside(path: Path) -> Path:
    """Return the next free name, and make room for it."""
    taken = sorted((int(p.name.rpartition("-")[2]), p) for p in path.parent.glob(f"{path.name}.unusable-*[0-9]"))
    for _, old in taken[: max(len(taken) + 1 - KEPT_ASIDE, 0)]:
        with suppress(OSError):
            old.unlink()
    return path.with_name(f"{path.name}.unusable-{taken[-1][0] + 1 if taken else 1}")


def _lock(descriptor: int, folder: Path | None) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StateError(
            f"{folder}: another edge-agender works with this folder: stop it, or give each its own outbox.path"
        ) from None
    except OSError as error:  # some network file systems have no locks
        log.debug("%s: cannot be locked: %s", folder, error.strerror)
