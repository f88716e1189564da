"""What several tests share, and what every test leaves behind: nothing."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from edge_agender.daemon import engine as engine_module
from edge_agender.delivery.mqtt import connection as mqtt_connection
from edge_agender.delivery.mqtt import publisher as mqtt_publisher
from edge_agender.delivery.mqtt import session as mqtt_session
from edge_agender.delivery.outbox import outbox as outbox_module
from tests.support.children import Undertaker, children, end_those_left
from tests.support.paths import SHARED

# Long enough for a machine that does much else at the same time.
THREADS_END_S = 60.0

TESTS = itertools.count()

# How a person's terminal, language and network are set up: no test is about that, save those that set it themselves.
PERSONAL = ("COLUMNS", "FORCE_COLOR", "LANGUAGE", "LINES", "NO_COLOR", "PYTHONIOENCODING", "PYTHONUTF8", "TZ")

# No example fails for being slow on a busy machine, and all machines see the same ones: to find more is what
# `make fuzz` is for.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


# A suite that runs in the background of a script ignores Ctrl-C, and so would every command that a test types it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What waits for processes longest comes first, so that no worker is left alone with it in the end (--dist loadfile).
LONGEST = ("fleet/", "daemon/", "audience/", "test_", "config/test_secrets")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else ""
        return next((number for number, start in enumerate(LONGEST) if name.startswith(start)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture
def videos() -> Path:
    """The sample videos beside the checkout; a clone of its own does not have them."""
    folder = SHARED / "videos"
    if not folder.is_dir():
        pytest.skip("needs the sample videos in ../shared/videos")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _undertaker() -> Iterator[Undertaker]:
    """Whatever becomes of this run, its processes end with it."""
    undertaker = Undertaker()
    yield undertaker
    undertaker.close()


@pytest.fixture(autouse=True)
def _no_process_is_left(_undertaker: Undertaker) -> Iterator[None]:
    """The processes of a test have ended with it."""
    before = children()
    yield
    left = end_those_left(before)
    assert not left, f"these processes of the test still ran: {left}"


@pytest.fixture(scope="session", autouse=True)
def _nobodys_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither a person's models nor a proxy come between a test and its server on loopback."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name in PERSONAL or name.lower().endswith("_proxy") or name.startswith("EDGE_AGENDER_"):
                patch.delenv(name)
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own state, and none is steered by the supervisor of the test run."""
    monkeypatch.setenv("EDGE_AGENDER_CONFIG", "/dev/null")
    # By a number of our own: pytest's looks through all the folders before it.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp(f"state{next(TESTS)}", numbered=False)))
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
    monkeypatch.setattr(outbox_module, "PUT_WAIT_S", 60.0)
    monkeypatch.setattr(outbox_module, "CLOSE_WAIT_S", 60.0)
    monkeypatch.setattr(engine_module, "SAVE_WAIT_S", 60.0)
    monkeypatch.setattr(mqtt_session, "STOP_S", 60.0)
    monkeypatch.setattr(mqtt_publisher, "STOP_S", 60.0)
    monkeypatch.setattr(mqtt_session, "CONNACK_S", 60.0)
    monkeypatch.setattr(mqtt_connection, "CONNECT_TIMEOUT_S", 60.0)
