"""Run as root under a real systemd: checks.py OLD.deb NEW.deb. One line a check; exit code 1 if one failed.

Each goes on from what the one before left: the order is that of a device's life.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

import checks_of_install
import checks_of_removal
import checks_of_sandbox
from checks_of_service import AT_WORK, SUPERVISED
from system import Broker, booted, journal, say


def main() -> int:
    failed = 0
    checks = (*checks_of_install.CHECKS, *AT_WORK, *checks_of_sandbox.CHECKS, *SUPERVISED, *checks_of_removal.CHECKS)
    booted()
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        for check in checks:
            try:
                check(broker)
                say(f"ok    {check.__doc__}")
            except Exception:
                failed += 1
                say(f"FAIL  {check.__doc__}\n{traceback.format_exc(limit=-2)}\n{journal()}")
        broker.stop()
    say(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
