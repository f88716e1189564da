import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CLOSE = """
import json, dataclasses
from edge_agender.device.hardening import harden_process
print(json.dumps(dataclasses.asdict(harden_process())), flush=True)
"""


def closed_process(more: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CLOSE + more], stdout=subprocess.PIPE, text=True)


def test_core_dumps_and_readers_are_shut_out() -> None:
    with closed_process("import time; time.sleep(600)") as process:
        assert process.stdout is not None
        closed = json.loads(process.stdout.readline())
        status = Path(f"/proc/{process.pid}/status").read_text()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        owner = Path(f"/proc/{process.pid}/mem").stat().st_uid
        process.kill()
    assert closed["core_dumps"]
    assert closed["foreign_readers"]
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4] == "0"
    assert owner == 0
    locked_kb = int(next(line for line in status.splitlines() if line.startswith("VmLck")).split()[1])
    assert closed["memory_locked"] == (locked_kb > 0)


def test_a_crash_leaves_no_core_file(tmp_path: Path) -> None:
    with closed_process(
        f"import os, signal; os.chdir({str(tmp_path)!r}); os.kill(os.getpid(), signal.SIGABRT)"
    ) as process:
        process.wait(timeout=120)
    assert process.returncode == -signal.SIGABRT
    assert list(tmp_path.iterdir()) == []


def test_memory_is_locked_where_the_limit_allows_it() -> None:
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY:
        pytest.skip("the hard limit for locked memory is not infinite here, and it cannot be raised")
    command = [sys.executable, "-c", "import resource as r; r.setrlimit(r.RLIMIT_MEMLOCK, (-1, -1))" + CLOSE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout)["memory_locked"]


def test_below_a_limit_nothing_is_locked_and_memory_can_still_be_had() -> None:
    more = "print(len(bytearray(64 * 1024 * 1024)))"
    code = "import resource as r; r.setrlimit(r.RLIMIT_MEMLOCK, (65536, 65536))" + CLOSE + more
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    first, second = done.stdout.splitlines()
    assert not json.loads(first)["memory_locked"]
    assert int(second) == 64 * 1024 * 1024


def test_looking_changes_nothing() -> None:
    code = "from edge_agender.device.hardening import inspect; print(inspect().foreign_readers)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "False"
