"""Run in place of the daemon, in its sandbox: prints as JSON what it can reach."""

import contextlib
import ctypes
import json
import mmap
import os
import resource
import socket
import sys
from pathlib import Path

PLACES = {
    "/tmp": "/tmp",
    "/var/tmp": "/var/tmp",
    "/dev/shm": "/dev/shm",
    "state": os.environ.get("STATE_DIRECTORY", "/nowhere"),
    "/etc": "/etc/edge-agender",
    "/opt": "/opt/edge-agender",
    "/var": "/var/lib",
    "/run": "/run",
    "/home": "/home",
    "/root": "/root",
}


def writable(folder: str) -> bool:
    path = Path(folder, "probe")
    try:
        path.write_bytes(b"")
        path.unlink()
    except OSError:
        return False
    return True


def can(action: object) -> bool:
    try:
        action()  # type: ignore[operator]
    except (OSError, ValueError):
        return False
    return True


def sees_strangers() -> bool:
    with contextlib.suppress(OSError):
        return Path("/proc/1/cmdline").exists()
    return False


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    sys.stdout.write(
        json.dumps(
            {
                "writable": sorted(name for name, folder in PLACES.items() if writable(folder)),
                "uid": os.getuid(),
                "umask": os.umask(0),
                "core": resource.getrlimit(resource.RLIMIT_CORE),
                "strangers": sees_strangers(),
                "raw sockets": can(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
                "internet sockets": can(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
                "code in data": can(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)),
                "mount": libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0,
                "foreign device": can(lambda: os.close(os.open("/dev/mem", os.O_RDONLY))),
                "camera": can(lambda: os.close(os.open("/dev/video9", os.O_RDWR))),
                "credential": Path(os.environ["CREDENTIALS_DIRECTORY"], "mqtt-password").read_text().strip(),
                "cpuinfo": Path("/proc/cpuinfo").exists(),
            }
        )
    )


main()
