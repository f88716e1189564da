"""Does the clock show the right time? A Pi has no battery for it, and TLS and the windows depend on it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

from edge_agender.commands.doctor.result import Result
from edge_agender.device.installation import Place

# The year of this code: a clock before it is one that nobody has set.
EARLIEST_YEAR = 2026
_REMEDY = "Connect the device to a network where a time server answers (NTP, UDP port 123), then look at `timedatectl`."
# struct timex of adjtimex(2) on 64-bit Linux: `status` follows modes (padded) and four longs; the whole is 208 bytes.
_TIMEX_BYTES, _STATUS_AT = 208, 40
_STA_UNSYNC, _TIME_ERROR = 0x40, 5


def check_clock(
    place: Place, now_s: float | None = None, synchronised: Callable[[], bool | None] | None = None
) -> Result:
    now = time.gmtime(now_s)
    shown = time.strftime("%Y-%m-%d %H:%M UTC", now)
    if now.tm_year < EARLIEST_YEAR:
        return Result("clock", "failure", f"it shows {shown}, which cannot be", _REMEDY)
    told = (synchronised or kernel_is_synchronised)()
    if told or (place.root / "run/systemd/timesync/synchronized").exists():
        return Result("clock", "ok", f"{shown}, synchronised")
    if told is None:
        return Result("clock", "skipped", f"{shown}; this system does not tell whether it is synchronised")
    return Result("clock", "warning", f"{shown}, not synchronised with a time server", _REMEDY)


def kernel_is_synchronised() -> bool | None:
    """Return what adjtimex(2) says, as timedatectl does; None where it says nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex") or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = libc.adjtimex(timex)
    if state < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little")
    return state != _TIME_ERROR and not status & _STA_UNSYNC
