"""How glibc keeps memory: frames are large and short-lived; without bounds their holes stay in the heap for ever."""

from __future__ import annotations

import ctypes
import gc

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# Pictures and larger crops get pages of their own, which go back when they do. This is glibc's own limit, but fixed:
# left alone, it rises with the first picture that is freed.
_LARGE_BYTES = 128 * 1024


def keep_small() -> bool:
    """Bound what the allocator holds back; False where the C library is another. Call it before threads start."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    options = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGE_BYTES), (_M_TRIM_THRESHOLD, _LARGE_BYTES))
    return all(mallopt(option, value) == 1 for option, value in options)


def give_back() -> None:
    """Collect what starting up left behind and return its pages; what stays is not looked through again."""
    gc.collect()
    gc.freeze()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
