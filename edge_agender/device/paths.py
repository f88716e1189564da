"""Where things lie: state, models, and the files that ship with the package."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

# Files of the checkout lie inside the wheel under names of their own.
PACKAGE = Path(__file__).resolve().parents[1]


UNIT = "edge-agender.service"
_UNIT_FOLDERS = ("etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
# As Debian says of a user that has none: nothing is ever there.
NO_HOME = Path("/nonexistent")


def state_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Return systemd's state directory; without one, the user's."""
    env = os.environ if environment is None else environment
    return systemd_state(env) or _personal("XDG_STATE_HOME", ".local/state", env)


def has_home(folder: Path) -> bool:
    """Return whether a folder from here is one that a user without a home directory could have."""
    return not folder.is_relative_to(NO_HOME)


def systemd_state(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the state directory that systemd made for the service; None outside of it."""
    folder = (os.environ if environment is None else environment).get("STATE_DIRECTORY", "").split(":")[0]
    return Path(folder) if folder else None


def user_folder(environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> Path:
    """Return where added models lie: the service's state directory, also for root beside it, or the user's folder.

    What root adds on a machine with the service is for the service.
    """
    env = os.environ if environment is None else environment
    if os.geteuid() == 0 and systemd_state(env) is None and has_unit(root):
        return service_state(root) / "models"
    return (systemd_state(env) or _personal("XDG_DATA_HOME", ".local/share", env)) / "models"


def has_unit(root: Path = Path("/")) -> bool:
    """Return whether the service is installed on the system below `root`."""
    return any((root / folder / UNIT).exists() for folder in _UNIT_FOLDERS)


def service_state(root: Path = Path("/")) -> Path:
    """Return where systemd keeps the service's state."""
    return root / "var/lib/edge-agender"


def _personal(variable: str, below_home: str, env: Mapping[str, str]) -> Path:
    """Return our folder for one kind of files (XDG Base Directory Specification): no relative path counts."""
    named = Path(env.get(variable) or ".")
    return (named if named.is_absolute() else _home(env) / below_home) / "edge-agender"


def _home(env: Mapping[str, str]) -> Path:
    named = Path(env.get("HOME") or ".")
    if named.is_absolute():
        return named
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:  # a number without a name, as containers and setpriv give them
        return NO_HOME


def shipped_folder() -> Path:
    """Return where the bundled models lie: inside the package, or at the top of a checkout."""
    return _bundled("_models", "models")


def bundled_unit() -> Path:
    """Return the unit file that ships with the package."""
    return _bundled("_edge-agender.service", "systemd/edge-agender.service")


def bundled_fleet_unit() -> Path:
    """Return the unit file of `fleet serve` that ships with the package."""
    return _bundled("_edge-agender-fleet.service", "deploy/systemd/edge-agender-fleet.service")


def reference_text() -> str:
    """Return the commented config.yaml; empty where the package came without it."""
    path = _bundled("_config.yaml", "config.yaml")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _bundled(inside: str, checkout: str) -> Path:
    packaged = PACKAGE / inside
    return packaged if packaged.exists() else PACKAGE.parent / checkout
