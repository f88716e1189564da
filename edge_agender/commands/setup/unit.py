"""The systemd unit: whether one is there, what it would be for this installation, and starting it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edge_agender.commands.terminal import clean
from edge_agender.device.installation import UNIT
from edge_agender.device.paths import bundled_unit
from edge_agender.errors import SetupError

OWN_PLACE = Path("etc/systemd/system") / UNIT
PACKAGED_PLACES = tuple(Path(folder) / UNIT for folder in ("usr/lib/systemd/system", "lib/systemd/system"))
SHIPPED_PREFIX = "/opt/edge-agender"
# The unit's ProtectHome= and PrivateTmp= hide what lies there.
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
# The unit gives itself 90 s to start.
START_LIMIT_S = 100.0
LAST_WORDS, MOST_WORDS = 5, 2000


def systemd_runs(root: Path) -> bool:
    """Whether there is a systemd that may be told to start something: this system's own, never one below a root."""
    return root == Path("/") and Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def packaged(root: Path) -> bool:
    """Whether a package brought the unit."""
    return any((root / place).exists() for place in PACKAGED_PLACES)


def hides(path: Path) -> bool:
    """Whether the service cannot see a path: as it is written, or where it leads."""
    places = (f"{path}/", f"{os.path.realpath(path)}/")
    return any(place.startswith(tuple(f"{folder}/" for folder in HIDDEN)) for place in places)


def unit_text(prefix: Path) -> str:
    """Return the unit for an installation in `prefix`; raise SetupError where the unit could not run it."""
    if hidden := [place for place in (prefix, Path(sys.executable).resolve()) if hides(place)]:
        raise SetupError(f"{hidden[0]}: the unit's sandbox hides this place: install into /opt (docs/install.md)")
    if not re.fullmatch(r"[\w./+-]+", str(prefix)):
        raise SetupError(f"{prefix}: the unit cannot name this place: install into /opt (docs/install.md)")
    if not (prefix / "bin/edge-agender").exists():
        raise SetupError(f"{prefix}/bin/edge-agender is missing: install with pip or pipx (docs/install.md)")
    text = bundled_unit().read_text(encoding="utf-8").replace(SHIPPED_PREFIX, str(prefix))
    # Outside of /usr and the environment lies a Python that was not the system's.
    home = Path(sys.base_prefix).resolve()
    if not str(home).startswith(("/usr", str(prefix))):
        text = re.sub(r"^ExecPaths=.*", rf"\g<0> {home}", text, flags=re.MULTILINE)
    return text


def start(reload: bool, waiting: Callable[[str, float], None]) -> None:
    """Enable and (re)start the service and return once it says that it runs; raise SetupError with its last words.

    `waiting(what, seconds)` is called now and then.
    """
    if reload:
        _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", UNIT)
    _systemctl("reset-failed", UNIT, check=False)
    process = subprocess.Popen(["systemctl", "restart", UNIT], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    waited_s = 0.0
    while waited_s < START_LIMIT_S:
        try:
            code = process.wait(0.5)
            break
        except subprocess.TimeoutExpired:
            waited_s += 0.5
            waiting("starting the service", waited_s)
    else:
        process.kill()
        code = process.wait()
    if code != 0:
        raise SetupError(f"the service did not start: {_last_words()}")


def _systemctl(*words: str, check: bool = True) -> None:
    try:
        done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=START_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise SetupError(
            f"systemctl {' '.join(words)}: no answer within {START_LIMIT_S:g} s: restart the device"
        ) from None
    if check and done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise SetupError(f"systemctl {' '.join(words)}: {reason}")


def _last_words() -> str:
    command = ["journalctl", "--unit", UNIT, "--output=cat", "--no-pager", f"--lines={LAST_WORDS}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return f"see journalctl -u {UNIT}"
    return clean(" / ".join(done.stdout.split("\n")), MOST_WORDS).strip(" /") or f"see journalctl -u {UNIT}"
