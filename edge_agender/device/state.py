"""The little that survives a restart: small JSON files, replaced whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20


class StateFolder:
    """JSON files in one folder. A file that cannot be read or written is a warning once, never the end of counting."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._complained: set[str] = set()

    def load(self, name: str) -> Any:
        """Return what `save` wrote under this name; None where there is nothing that can be used."""
        path = self._folder / f"{name}.json"
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
            if len(raw) > MAX_BYTES:
                raise ValueError("too large")
            return json.loads(raw)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            self._complain(name, f"{path}: cannot be used and is passed over: {error}")
            return None

    def exists(self, name: str) -> bool:
        """Return whether something was saved under this name, whether or not it can be read."""
        try:
            (self._folder / f"{name}.json").lstat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def save(self, name: str, value: Any) -> bool:
        """Replace the file; False where the disk does not take it."""
        return self.write(name, json.dumps(value))

    def write(self, name: str, text: str) -> bool:
        """Like `save`, of what is JSON already."""
        path = self._folder / f"{name}.json"
        partial = path.with_suffix(".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            self._complain(name, f"{path}: {error.strerror}: free some space or correct the folder's owner")
            return False
        self._complained.discard(name)
        return True

    def _complain(self, name: str, text: str) -> None:
        log.log(logging.DEBUG if name in self._complained else logging.WARNING, "%s", text)
        self._complained.add(name)


class LateSaver:
    """Saves one name's latest value from a thread of its own: a card that stalls must not stall the counting.

    The process does not end before the value is written.
    """

    def __init__(self, folder: StateFolder, name: str) -> None:
        self._folder, self._name = folder, name
        self._lock = threading.Lock()
        self._waiting: str | None = None
        self._thread: threading.Thread | None = None

    def save(self, value: Any) -> None:
        """Have this on disk soon; what waited to be written is left out."""
        text = json.dumps(value)
        with self._lock:
            self._waiting = text
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="state")
                self._thread.start()

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
                text, self._waiting = self._waiting, None
                if text is None:
                    self._thread = None
                    return
            self._folder.write(self._name, text)
