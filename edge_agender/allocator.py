"""How glibc keeps memory: without a bound, every thread gets a heap of its own, and each keeps its holes for ever."""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8  # malloc.h


def share_one_heap() -> bool:
    """Let all threads allocate from one heap; False where the C library is another. Call it before threads start.

    The rest is glibc's own: it learns how large the pictures are and takes them from the heap again and again, where
    pages of their own would cost the kernel a thousand faults a frame.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1) == 1)
    except (AttributeError, OSError):
        return False


def give_back() -> None:
    """Collect what starting up left behind and return its pages; what stays is not looked through again."""
    gc.collect()
    gc.freeze()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
