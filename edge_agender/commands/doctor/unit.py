"""Is it installed as a service, does it run, and is its sandbox whole?"""

from __future__ import annotations

import os
import re
import subprocess

from edge_agender.commands.doctor.result import Result
from edge_agender.device.installation import UNIT, Place

TIMEOUT_S = 15.0
# systemd-analyze's 0 (safe) to 10; the unit as it ships has 1.5.
MOST_EXPOSURE = 3.0
# What keeps pictures off the disk and the daemon away from the rest, as `systemctl show` writes it.
SANDBOX = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "LimitCORE": "0",
    "MemorySwapMax": "0",
}
_STATE = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "ExecMainStatus", "ProcSubset")
_CONFIG_ERROR = "78"
# Between a failure and the next start.
_WAITING = "auto-restart"


def check_unit(place: Place) -> list[Result]:
    shown = properties(place)
    if shown is None:
        return [Result(name, "skipped", "no systemd runs here") for name in ("service", "sandbox")]
    if shown.get("LoadState") != "loaded":
        remedy = "Install the package or the unit (docs/install.md), so that it starts with the device."
        return [
            Result("service", "warning", f"{UNIT} is not installed", remedy),
            Result("sandbox", "skipped", "needs the service"),
        ]
    return [_service(shown), _sandbox(shown)]


def properties(place: Place) -> dict[str, str] | None:
    """Return what systemd knows of the unit; None where no systemd runs."""
    if not place.has_systemd:
        return None
    text = _output("systemctl", "show", UNIT, "--property", ",".join([*_STATE, *SANDBOX]))
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value for key, _, value in pairs} or None


def is_active(place: Place) -> bool:
    shown = properties(place) or {}
    return shown.get("ActiveState") in ("active", "activating", "reloading") and shown.get("SubState") != _WAITING


def _service(shown: dict[str, str]) -> Result:
    state = f"{shown.get('ActiveState')} ({shown.get('SubState')})"
    if shown.get("ActiveState") == "failed" or shown.get("SubState") == _WAITING:
        bad = shown.get("ExecMainStatus") == _CONFIG_ERROR
        remedy = "Fix what `edge-agender check` reports, then" if bad else "Fix what is listed here, then"
        more = "run `sudo systemctl restart edge-agender`; `journalctl -eu edge-agender` tells more"
        finding = f"{state}, exit code {shown.get('ExecMainStatus')}"
        return Result("service", "failure", finding, f"{remedy} {more}.")
    if shown.get("ActiveState") in ("activating", "reloading"):
        return Result("service", "warning", state, "Wait a minute, and look again.")
    if shown.get("ActiveState") != "active":
        remedy = "Run `sudo systemctl enable --now edge-agender`."
        return Result("service", "warning", f"installed, but {state}", remedy)
    if shown.get("UnitFileState") not in ("enabled", "enabled-runtime", "static"):
        remedy = "Run `sudo systemctl enable edge-agender`, or it stays off after the next power cut."
        return Result("service", "warning", f"{state}, but does not start with the device", remedy)
    if (restarts := shown.get("NRestarts", "0")) != "0":
        remedy = "Look for the reason with `journalctl -eu edge-agender`."
        return Result("service", "warning", f"{state}, after {restarts} restarts by itself", remedy)
    return Result("service", "ok", f"{state}, starts with the device")


def _sandbox(shown: dict[str, str]) -> Result:
    remedy = (
        "Look for what loosens it with `systemctl cat edge-agender`, or undo it with "
        "`sudo systemctl revert edge-agender` and a restart."
    )
    if shown.get("ProcSubset") == "pid":
        return Result("sandbox", "warning", "ProcSubset=pid makes the networks seventy times slower", remedy)
    loose = [f"{name} is {shown.get(name)}" for name, wanted in SANDBOX.items() if shown.get(name) != wanted]
    if loose:
        return Result("sandbox", "warning", f"loosened: {', '.join(loose)}", remedy)
    exposure = re.search(r"exposure level for \S+ ([\d.]+)", _output("systemd-analyze", "security", "--no-pager", UNIT))
    if exposure is None:
        return Result("sandbox", "ok", "whole")
    if float(exposure[1]) > MOST_EXPOSURE:
        return Result("sandbox", "warning", f"exposure {exposure[1]} of 10, more than {MOST_EXPOSURE:g}", remedy)
    return Result("sandbox", "ok", f"whole; exposure {exposure[1]} of 10")


def _output(*command: str) -> str:
    """What a command prints; nothing where it is missing, fails or hangs."""
    plain = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_URLIFY": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=plain)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
