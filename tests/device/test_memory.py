import subprocess
import sys

import pytest

CODE = """
import ctypes, resource, threading
import numpy as np
import psutil
from edge_agender.device.memory import limit_malloc_arenas

PICTURE = (960, 1280, 3)

def look(frames):
    for _ in range(frames):
        picture, small = np.ones(PICTURE, np.uint8), np.ones((480, 640, 3), np.uint8)
        kept.append(np.ones(2000))
        del picture, small

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

kept = []
if not limit_malloc_arenas():
    print("another C library")
else:
    look(5)
    process, before, faults_before = psutil.Process(), psutil.Process().memory_info().rss, faults()
    look(100)
    for _ in range(4):
        thread = threading.Thread(target=look, args=(25,))
        thread.start()
        thread.join()
    added = sum(each.nbytes for each in kept[5:])
    print((process.memory_info().rss - before - added) / 1e6, (faults() - faults_before) / 200)
"""


def test_pictures_take_the_same_memory_again_and_leave_no_holes() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True)
    if "another" in done.stdout:
        pytest.skip("this C library has no mallopt")
    grown_mb, faults_a_frame = map(float, done.stdout.split())
    assert grown_mb < 3
    # Pages of its own cost a picture 900.
    assert faults_a_frame < 100
