"""The little that survives a restart: small JSON files, replaced whole or not at all."""

from __future__ import annotations

import json
import logging
import os
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
        path = self._folder / f"{name}.json"
        partial = path.with_suffix(".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("w") as file:
                json.dump(value, file)
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
