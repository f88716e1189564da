#!/usr/bin/env python3
"""Run COMMAND under a systemd of its own, on a copy-on-write view of this machine's root.

usage (root): with_systemd.py [--network] COMMAND [ARGUMENT...]

Units can be installed, started, watched, killed and purged for real; everything that is written disappears with the
container. The exit status is COMMAND's, or 70 where the container does not start. --network shares the host's network;
without it there is loopback only. The working folder is kept; /tmp is a new one, so hand files over elsewhere.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NOT_STARTED = 70
BOOT_S = 60.0
STOP_S = 120.0
# Of this machine's own life: they would wait for hardware, a network or a terminal that the container does not have.
MASKED = ("systemd-timesyncd", "systemd-networkd", "systemd-resolved", "systemd-udevd", "console-getty", "getty@tty1")
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")


class NotStartedError(Exception):
    """The container did not come up; the text is what it printed."""


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True)


@contextmanager
def copy_on_write(scratch: Path) -> Iterator[Path]:
    """A root that looks like this machine's; writes go to memory."""
    run("mount", "-t", "tmpfs", "-o", "size=2G", "tmpfs", scratch)
    try:
        root, above, work = (scratch / name for name in ("root", "above", "work"))
        for folder in (root, above, work):
            folder.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={above},workdir={work}", root)
        yield root
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", scratch], check=False)


def prepare(root: Path) -> None:
    """Start nothing but what the tests install."""
    units = root / "etc/systemd/system"
    for wants in units.glob("*.wants"):
        shutil.rmtree(wants)
    shutil.rmtree(root / "var/log/journal", ignore_errors=True)
    (root / "etc/machine-id").write_text("")
    for name, target in [("default.target", "/lib/systemd/system/multi-user.target")] + [
        (f"{unit}.service", "/dev/null") for unit in MASKED
    ]:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to(target)


@contextmanager
def booted(root: Path, *, network: bool) -> Iterator[int]:
    """The container while it runs; yields its systemd's process id on this side."""
    console = root.parent / "console.log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(root.parent / "notify"))
        words = ["systemd-nspawn", "--directory", root, "--boot", "--register=no", "--keep-unit", "--console=pipe"]
        words += ["--notify-ready=yes", "--capability=all", "--system-call-filter=bpf @privileged"]
        words += [] if network else ["--private-network"]
        with console.open("wb") as log:
            nspawn = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"NOTIFY_SOCKET": str(root.parent / "notify")},
            )  # fmt: skip
        over = threading.Event()
        listener = threading.Thread(target=_listen, args=(notices, over))
        try:
            leader = _leader(nspawn, notices, console)
            listener.start()
            yield leader
        finally:
            nspawn.terminate()
            try:
                nspawn.wait(STOP_S)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.wait()
            over.set()
            if listener.ident is not None:
                listener.join()


def _listen(notices: socket.socket, over: threading.Event) -> None:
    """Hear out what systemd-nspawn passes on from the container's systemd: after ten unread notices both wait."""
    while not over.is_set():
        with suppress(TimeoutError):
            notices.recv(4096)


def _leader(nspawn: subprocess.Popen[bytes], notices: socket.socket, console: Path) -> int:
    """Wait for what systemd-nspawn(1) notifies its supervisor of: the leader's process id, then readiness."""
    leader, until_s = None, time.monotonic() + BOOT_S
    notices.settimeout(0.2)
    while time.monotonic() < until_s and nspawn.poll() is None:
        try:
            lines = notices.recv(4096).decode().splitlines()
        except TimeoutError:
            continue
        said = dict(line.split("=", 1) for line in lines if "=" in line)
        leader = int(said.get("X_NSPAWN_LEADER_PID", leader or 0)) or None
        if said.get("READY") == "1" and leader:
            return leader
    raise NotStartedError(console.read_text(errors="replace"))


def _remove_groups(name: str) -> None:
    """Control groups outlive a container that is killed."""
    for folder in sorted(Path("/sys/fs/cgroup").rglob(f"*{name}*"), reverse=True):
        for group in sorted([*folder.rglob("*"), folder], reverse=True):
            if group.is_dir():
                try:
                    group.rmdir()
                except OSError:
                    continue


def main(words: list[str]) -> int:
    if os.environ.pop("WITH_SYSTEMD", "") != "own mounts":
        os.environ["WITH_SYSTEMD"] = "own mounts"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, *words])
    network = words[:1] == ["--network"]
    command = words[network:]
    if not command:
        sys.stderr.write(__doc__ or "")
        return 64
    scratch = Path(tempfile.mkdtemp(prefix="with-systemd.", dir="/var/tmp"))
    try:
        with copy_on_write(scratch) as root:
            prepare(root)
            with booted(root, network=network) as leader:
                enter = ["nsenter", "--target", str(leader), *NAMESPACES, f"--wd={Path.cwd()}", "--"]
                return subprocess.run([*enter, *command], check=False).returncode
    except NotStartedError as error:
        sys.stderr.write(f"the container does not start:\n{error}\n")
        return NOT_STARTED
    finally:
        _remove_groups(scratch.name)
        scratch.rmdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
