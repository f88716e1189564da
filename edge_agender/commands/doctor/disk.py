"""Room and health of what the service writes to: free space, read-only or fleeting file systems, worn cards."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_agender.commands.doctor.result import Result
from edge_agender.config.settings import Config
from edge_agender.device.installation import Place

# Below this even the settings that survive a restart may not fit beside what the system writes.
LEAST_FREE_MB = 20.0
_FLEETING = ("tmpfs", "ramfs", "overlay")
_NEW_CARD = "Copy what you need and put in a new card, preferably one rated for continuous recording (high endurance)."
# JEDEC eMMC: life time in steps of 10 %, 0x0b is beyond its end; pre_eol_info 2 is a warning, 3 urgent.
_WORN, _BEYOND, _EOL_WARNING, _EOL_URGENT = 9, 11, 2, 3


@dataclass(frozen=True, slots=True)
class Mount:
    device: str
    point: Path
    kind: str
    options: frozenset[str]


def check_disk(config: Config, place: Place) -> list[Result]:
    folder = _existing(place.state_folder(config))
    mount = mount_of(folder, place)
    return [_space(config, folder), _writable(folder, mount, place), card(place)]


def _space(config: Config, folder: Path) -> Result:
    free_mb = shutil.disk_usage(folder).free / 1e6
    finding = f"{free_mb:,.0f} MB free at {folder}"
    if free_mb < LEAST_FREE_MB:
        return Result("disk", "failure", finding, "Delete what is not needed, or put in a larger card.")
    if free_mb < config.outbox.max_mb + LEAST_FREE_MB:
        remedy = "Free some space, or lower outbox.max_mb: what waits for the broker may not fit."
        return Result("disk", "warning", f"{finding}, and up to {config.outbox.max_mb:g} MB may wait", remedy)
    return Result("disk", "ok", finding)


def _writable(folder: Path, mount: Mount | None, place: Place) -> Result:
    if mount is None:
        return Result("file system", "skipped", "this system does not tell what it has mounted")
    finding = f"{mount.kind} at {mount.point}"
    if "ro" in mount.options:
        remedy = (
            "Restart the device, and put in a new card if it is read-only again: it gives up writing when it fails."
        )
        return Result("file system", "failure", f"{finding} is read-only", remedy)
    if mount.kind in _FLEETING:
        remedy = (
            "Give outbox.path a folder on a disk, or live with it: what waits for the broker is lost with the power."
        )
        return Result("file system", "warning", f"{finding} forgets everything when the power goes", remedy)
    if not place.has_unit and not os.access(folder, os.W_OK | os.X_OK):
        remedy = "Give the folder to the user that runs edge-agender (sudo chown), or set outbox.path."
        return Result("file system", "failure", f"{folder} cannot be written by this user", remedy)
    return Result("file system", "ok", f"{finding}, writable")


def card(place: Place) -> Result:
    """Errors that a file system has recorded, and the wear that the card admits."""
    errors = {path.parent.name: _number(path) or 0 for path in place.root.glob("sys/fs/ext4/*/errors_count")}
    if any(errors.values()):
        names = ", ".join(f"{count} on {name}" for name, count in sorted(errors.items()) if count)
        return Result("card", "failure", f"errors were recorded in the file system: {names}", _NEW_CARD)
    cards = sorted(place.root.glob("sys/block/mmcblk*[0-9]/device"))
    if not cards:
        return Result("card", "skipped", "there is no SD or eMMC card")
    ages = [age for path in cards if (age := _age(path)) is not None]
    if not ages:
        return Result("card", "ok", "no errors recorded; SD cards do not tell how worn they are")
    worst = max(ages)
    if worst < _WORN:
        return Result("card", "ok", f"no errors recorded, at most {worst * 10} % of its life used")
    state = f"{worst * 10 - 10} % or more of its life is used" if worst < _BEYOND else "its life is used up"
    return Result("card", "warning" if worst < _BEYOND else "failure", state, _NEW_CARD)


def mount_of(folder: Path, place: Place) -> Mount | None:
    """Return the mount that holds a folder; of several at one point the last, which hides the others."""
    try:
        lines = (place.root / "proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    found = None
    for line in lines:
        device, point, kind, options = (field.replace("\\040", " ") for field in line.split()[:4])
        mount = Mount(device, Path(point), kind, frozenset(options.split(",")))
        if folder.is_relative_to(mount.point) and (found is None or mount.point.is_relative_to(found.point)):
            found = mount
    return found


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that this user can see."""
    for path in (folder, *folder.parents):
        try:
            return path.resolve(strict=True)
        except OSError:
            continue
    return Path("/")


def _age(device: Path) -> int | None:
    """The life time used, in tenths begun; None where the card does not tell."""
    try:
        tenths = max(int(word, 16) for word in (device / "life_time").read_text().split())
    except (OSError, ValueError):
        return None
    end = _number(device / "pre_eol_info")
    if end == _EOL_URGENT:
        return max(tenths, _BEYOND)
    return max(tenths, _WORN) if end == _EOL_WARNING else tenths


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text().strip(), 0)
    except (OSError, ValueError):
        return None
