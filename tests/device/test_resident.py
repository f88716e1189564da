"""In a process of its own: what is dropped is this process's for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edge_agender.device.memory import Area, _unwritten

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no /proc/self/smaps here")

LIBRARIES = """
import cv2, numpy as np, psutil
from edge_agender.device.memory import evict_library_pages, library_areas

def work():
    picture = cv2.GaussianBlur(np.arange(3 * 64 * 64, dtype=np.uint8).reshape(64, 64, 3), (0, 0), 2)
    return picture.tobytes()

areas, before, process = library_areas(), work(), psutil.Process()
resident = process.memory_info().rss
assert evict_library_pages(areas) > 0
print((resident - process.memory_info().rss) / 1e6)
assert work() == before
"""

WRITTEN = """
import ctypes, mmap, tempfile
from edge_agender.device.memory import evict_library_pages, library_areas

libc = ctypes.CDLL(None, use_errno=True)

def mapped(file, kind):
    area = mmap.mmap(file.fileno(), 0, flags=kind, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return area, address

with tempfile.NamedTemporaryFile(suffix=".so") as file:
    file.write(b"a" * 2 * mmap.PAGESIZE)
    file.flush()
    (written, written_at), (shared, shared_at) = mapped(file, mmap.MAP_PRIVATE), mapped(file, mmap.MAP_SHARED)
    (clean, clean_at) = mapped(file, mmap.MAP_PRIVATE)
    written[:1] = b"b"
    assert (shared[:1], clean[:1]) == (b"a", b"a")
    for address in (written_at, shared_at, clean_at):
        assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(2 * mmap.PAGESIZE), mmap.PROT_READ) == 0
    areas = library_areas()
    evict_library_pages(areas)
    told = {area.start for area in areas}
    print(written[:2].decode(), *(int(address in told) for address in (written_at, shared_at, clean_at)))
"""

LOCKED = """
import ctypes, mmap
from pathlib import Path
from edge_agender.device.memory import _library_maps, evict_library_pages, library_areas

def locked_code_kb():
    return sum(figures["Locked"] for _, _, figures in _library_maps(Path("/proc/self/smaps").read_text()))

if ctypes.CDLL(None).mlockall(1 | 2 | 4):  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT
    print("refused")
else:
    import numpy as np
    areas, before = library_areas(), locked_code_kb()
    heap = np.ones(1_000_000)
    evict_library_pages(areas)
    after = locked_code_kb()
    np.linalg.svd(np.ones((50, 50)))
    status = Path("/proc/self/status").read_text()
    locked_kb = int(status.split("VmLck:")[1].split()[0])
    print(before > 2 * after, after < locked_code_kb() < before, locked_kb > heap.nbytes / 1024)
"""

OTHER_THREADS = """
import _ctypes, ctypes, threading
import cv2
from edge_agender.device.memory import evict_library_pages, library_areas

libraries = []
for name in ("libsqlite3.so.0", "libstdc++.so.6", "libresolv.so.2", "libnss_compat.so.2", "libcrypto.so.3"):
    try:
        _ctypes.dlclose(ctypes.CDLL(name)._handle)
        libraries.append(name)
    except OSError:
        pass
areas, done, loaded = library_areas(), threading.Event(), 0

def load():
    global loaded
    while not done.is_set():
        for name in libraries:
            _ctypes.dlclose(ctypes.CDLL(name)._handle)
            loaded += 1

thread = threading.Thread(target=load)
thread.start()
for _ in range(100):
    evict_library_pages(areas)
done.set()
thread.join()
print("survived" if loaded else "no library to load")
"""


def ran(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_start_up_s_pages_go_and_everything_goes_on_working() -> None:
    assert float(ran(LIBRARIES)) > 5


def test_what_was_written_to_or_is_shared_stays() -> None:
    assert ran(WRITTEN) == "ba 0 0 1"


def test_locked_code_is_dropped_and_what_comes_after_is_locked_again() -> None:
    said = ran(LOCKED)
    if said == "refused":
        pytest.skip("this process may not lock as much memory")
    assert said == "True True True"


def test_a_thread_that_loads_libraries_meanwhile_loses_nothing() -> None:
    assert ran(OTHER_THREADS) in ("survived", "no library to load")


SMAPS = """\
7f0000000000-7f0000010000 {kind} 00000000 fe:00 1234   {path}
Size:                 64 kB
Rss:                  {rss} kB
Anonymous:             {anonymous} kB
Locked:               {locked} kB
VmFlags: rd ex mr mw me sd
7f0000010000-7f0000011000 rw-p 00000000 00:00 0
Rss:                   4 kB
Anonymous:             4 kB
"""


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, [Area(0x7F0000000000, 0x10000, False)]),
        ({"kind": "r--p", "locked": 32}, [Area(0x7F0000000000, 0x10000, True)]),
        ({"kind": "r--s"}, []),
        ({"kind": "rw-p"}, []),
        ({"path": "/dev/video0"}, []),
        ({"path": ""}, []),
        ({"anonymous": 4}, []),
        ({"rss": 0}, []),
    ],
    ids=str,
)
def test_only_a_librarys_own_bytes_are_taken(change: dict[str, object], taken: list[Area]) -> None:
    told = {"kind": "r-xp", "path": "/usr/lib/libthing.so.1 (deleted)", "rss": 32, "anonymous": 0, "locked": 0} | change
    assert list(_unwritten(SMAPS.format(**told))) == taken
