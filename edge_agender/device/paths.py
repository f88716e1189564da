"""Where things lie: state, models, and the files that ship with the package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Files of the checkout lie inside the wheel under names of their own.
PACKAGE = Path(__file__).resolve().parents[1]


def state_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Return systemd's state directory; without one, the user's."""
    env = os.environ if environment is None else environment
    if folder := systemd_state(env):
        return folder
    return Path(env.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edge-agender"


def systemd_state(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the state directory that systemd made for the service; None outside of it."""
    folder = (os.environ if environment is None else environment).get("STATE_DIRECTORY", "").split(":")[0]
    return Path(folder) if folder else None


def user_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Return where added models lie: the service's state directory, or the user's data folder."""
    env = os.environ if environment is None else environment
    if folder := systemd_state(env):
        return folder / "models"
    data = env.get("XDG_DATA_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".local/share")
    return Path(data) / "edge-agender" / "models"


def shipped_folder() -> Path:
    """Return where the bundled models lie: inside the package, or at the top of a checkout."""
    return _bundled("_models", "models")


def bundled_unit() -> Path:
    """Return the unit file that ships with the package."""
    return _bundled("_edge-agender.service", "systemd/edge-agender.service")


def reference_text() -> str:
    """Return the commented config.yaml; empty where the package came without it."""
    path = _bundled("_config.yaml", "config.yaml")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _bundled(inside: str, checkout: str) -> Path:
    packaged = PACKAGE / inside
    return packaged if packaged.exists() else PACKAGE.parent / checkout
