"""What the running daemon may do, and how fast it is there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from system import UNIT, Broker, main_pid, say, sh, show

HERE = Path(__file__).parent


def check_process(_broker: Broker) -> None:
    """The running daemon has no privileges, dumps no core, and its memory is root's to read."""
    process = Path(f"/proc/{main_pid()}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, status["CapBnd"]
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split(), status["Uid"]
    assert status["VmSwap"].split()[0] == "0"
    _check_no_swap(process, int(status["VmLck"].split()[0]))
    assert (process / "mem").stat().st_uid == 0
    core = next(line for line in (process / "limits").read_text().splitlines() if "core file" in line)
    assert core.split()[4:6] == ["0", "0"], core
    state = Path("/var/lib/edge-agender").resolve()
    assert oct(state.stat().st_mode & 0o777) == "0o700", state


def _check_no_swap(process: Path, locked_kb: int) -> None:
    """Memory is locked, and the kernel holds the unit's MemorySwapMax=0; each where this machine can do it."""
    limit = next(line for line in (process / "limits").read_text().splitlines() if "locked memory" in line)
    if limit.split()[3] == "unlimited":
        assert locked_kb > 30_000, f"only {locked_kb} kB are locked"
    else:
        say("      the limit for locked memory cannot be raised in this container: nothing is locked here")
    group = next((line[3:] for line in (process / "cgroup").read_text().splitlines() if line.startswith("0::")), "")
    most = Path(f"/sys/fs/cgroup{group}/memory.swap.max")
    if most.exists():
        assert most.read_text().strip() == "0", most.read_text()
    else:
        say("      no memory controller of cgroup 2 here: MemorySwapMax= does nothing")


def check_sandbox(_broker: Broker) -> None:
    """From inside, only its own state and temporary folders can be written, and only cameras opened."""
    store = Path("/etc/credstore")
    store.mkdir(mode=0o700, exist_ok=True)
    (store / "edge-agender.mqtt-password").write_text("hidden\n")
    for name, number in (("/dev/video9", 5), ("/dev/mem", 1)):
        if not Path(name).exists():
            os.mknod(name, stat.S_IFCHR, os.makedev(1, number))
            sh("chmod", "660", name)
            sh("chgrp", "video", name)
    result = json.loads(_in_sandbox(f"/usr/bin/python3 {HERE}/probe.py", "DeviceAllow=/dev/video9 rw").splitlines()[-1])
    (store / "edge-agender.mqtt-password").unlink()
    assert result["writable"] == ["/tmp", "/var/tmp", "state"], result
    assert result["credential"] == "hidden"
    assert result["umask"] == 0o077
    assert result["core"] == [0, 0]
    for name in ("strangers", "raw sockets", "code in data", "mount", "foreign device"):
        assert result[name] is False, name
    for name in ("internet sockets", "camera", "cpuinfo"):
        assert result[name] is True, name


def check_speed(_broker: Broker) -> None:
    """The networks run as fast inside the sandbox as outside."""
    command = f"/opt/edge-agender/bin/python3 {HERE}/speed.py"
    free, boxed = (json.loads(output.splitlines()[-1]) for output in (sh(*command.split()), _in_sandbox(command)))
    for stage in free:
        say(f"      {stage}: {boxed[stage]:.2f} ms in the sandbox, {free[stage]:.2f} ms outside")
    # Without its fast kernels (ProcSubset=pid) a network takes seventy times as long.
    assert all(boxed[stage] < 3 * free[stage] + 1 for stage in free)


def _in_sandbox(command: str, more: str = "") -> str:
    """Run a command under the daemon's own unit and return what it printed."""
    unit = Path(f"/usr/lib/systemd/system/{UNIT}").read_text().splitlines()
    kept = [line for line in unit if not line.startswith(("Type=", "ExecStart=", "Restart", "Watchdog", "ExecReload="))]
    # Into a file that systemd opens outside the sandbox: what a short run prints, the journal may hold only later.
    printed = Path("/run/probe.output")
    added = [
        "Type=oneshot",
        f"ExecStart={command}",
        f"BindReadOnlyPaths={HERE}",
        f"StandardOutput=truncate:{printed}",
        more,
    ]
    text = "\n".join(kept).replace("[Service]", "\n".join(["[Service]", *added]))
    Path("/run/systemd/system/probe.service").write_text(text)
    sh("systemctl", "daemon-reload")
    for _ in range(3):
        sh("systemctl", "start", "probe.service", check=False)
        if show("ExecMainStatus", "probe.service") != "219":  # systemd itself failed at this machine's cgroups
            break
    output = printed.read_text()
    assert show("Result", "probe.service") == "success", output
    return output.strip()


CHECKS = (check_process, check_sandbox, check_speed)
