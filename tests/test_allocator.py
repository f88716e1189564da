import subprocess
import sys

import pytest

from edge_agender.allocator import keep_small

CODE = """
import gc, psutil
import numpy as np
from edge_agender.allocator import keep_small
assert keep_small()
process = psutil.Process()
small = [np.ones(2000) for _ in range(200)]
before = process.memory_info().rss
for _ in range(30):
    pictures = [np.ones((480, 640, 3), np.uint8) for _ in range(8)]
    small.append(np.ones(2000))
    del pictures
print((process.memory_info().rss - before) / 1e6)
"""


def test_pictures_leave_no_holes() -> None:
    if not keep_small():
        pytest.skip("this C library has no mallopt")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) < 3
