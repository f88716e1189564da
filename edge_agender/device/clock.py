"""Local time, as the machine's time zone has it now; whether the clock was set."""

from __future__ import annotations

import os
import time
from collections.abc import MutableMapping
from datetime import datetime
from pathlib import Path

MACHINE_ZONE = Path("/etc/localtime")
# systemd-timesyncd makes this file once the clock was set from the network.
CLOCK_MARKER = Path("/run/systemd/timesync/synchronized")


def local_now(environment: MutableMapping[str, str] = os.environ) -> datetime:
    """Return the local time, also after the machine was given another time zone while this process runs.

    The C library looks at /etc/localtime again only when it is told to, and never where $TZ names that very file.
    """
    if environment.get("TZ", "").lstrip(":") == str(MACHINE_ZONE):
        del environment["TZ"]
    time.tzset()
    return datetime.now()


def zone_problem(environment: MutableMapping[str, str] = os.environ, file: Path = MACHINE_ZONE) -> str | None:
    """Return in one line why local time is UTC by mistake; None where the time zone is known."""
    if environment.get("TZ") or file.is_file():
        return None
    return f"{file}: missing, so local time is UTC: sudo timedatectl set-timezone Europe/Berlin, or the like"


def clock_synchronised(marker: Path = CLOCK_MARKER) -> bool | None:
    """Return whether the clock was set from the network; None where systemd-timesyncd is not at work."""
    return True if marker.exists() else (False if marker.parent.is_dir() else None)
