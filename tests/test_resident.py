"""In a process of its own: what is dropped is this process's for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no /proc/self/smaps here")

LIBRARIES = """
import cv2, numpy as np, psutil
from edge_agender.resident import drop_start_up_code

def work():
    picture = cv2.GaussianBlur(np.arange(3 * 64 * 64, dtype=np.uint8).reshape(64, 64, 3), (0, 0), 2)
    return picture.tobytes()

before, process = work(), psutil.Process()
resident = process.memory_info().rss
assert drop_start_up_code() > 0
print((resident - process.memory_info().rss) / 1e6)
assert work() == before
"""

WRITTEN = """
import ctypes, mmap, os, sys, tempfile
from edge_agender.resident import drop_start_up_code

libc = ctypes.CDLL(None, use_errno=True)
with tempfile.NamedTemporaryFile() as file:
    file.write(b"a" * 2 * mmap.PAGESIZE)
    file.flush()
    area = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    area[:1] = b"b"
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(len(area)), mmap.PROT_READ) == 0
    drop_start_up_code()
    print(area[:2].decode())
"""

LOCKED = """
import ctypes, mmap, resource
from pathlib import Path
from edge_agender.resident import drop_start_up_code

def locked_kb():
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmLck" in line).split()[1])

libc = ctypes.CDLL(None, use_errno=True)
if libc.mlockall(1 | 4):
    print("refused")
else:
    before = locked_kb()
    assert drop_start_up_code() > 0
    print("less" if 0 < locked_kb() < before else f"{before} {locked_kb()}")
"""


def ran(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def test_start_up_s_pages_go_and_everything_goes_on_working() -> None:
    assert float(ran(LIBRARIES)) > 5


def test_a_page_that_was_written_to_stays_though_it_can_no_longer_be_written() -> None:
    assert ran(WRITTEN) == "ba"


def test_locked_code_is_dropped_and_the_rest_stays_locked() -> None:
    said = ran(LOCKED)
    if said == "refused":
        pytest.skip("this process may not lock as much memory")
    assert said == "less"
