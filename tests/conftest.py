"""What several tests share, and what every test leaves behind: nothing."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
# Long enough for a machine that does much else at the same time.
THREADS_END_S = 60.0

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def videos() -> Path:
    """The sample videos beside the checkout; a clone of its own does not have them."""
    folder = SHARED / "videos"
    if not folder.is_dir():
        pytest.skip("needs the sample videos in ../shared/videos")
    return folder


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own state, and none is steered by the supervisor of the test run."""
    monkeypatch.setenv("EDGE_AGENDER_CONFIG", "/dev/null")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    for name in ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _nothing_goes_on() -> Iterator[None]:
    """The threads of a test have ended with it, and its logging, which wrote to a stream of the test, is undone."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, set(threading.enumerate())
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    until_s = time.monotonic() + THREADS_END_S
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < until_s, f"these threads of the test still run: {left}"
        next(iter(left)).join(0.1)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the daemon gives up after a second, so as not to hold up the counting or its own end, gets a minute here:
    such a test is about what happens, and this machine's disk or processor may be busy."""
    monkeypatch.setattr("edge_agender.outbox.PUT_WAIT_S", 60.0)
    monkeypatch.setattr("edge_agender.outbox.CLOSE_WAIT_S", 60.0)
    monkeypatch.setattr("edge_agender.session.STOP_S", 60.0)
    monkeypatch.setattr("edge_agender.mqtt.STOP_S", 60.0)
