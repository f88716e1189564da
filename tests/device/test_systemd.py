import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from edge_agender.device.systemd import Notifier, credential
from tests.support.paths import ROOT

UNIT = ROOT / "systemd" / "edge-agender.service"


class Supervisor:
    """The other end: what systemd would receive."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/notify" if request.param == "path" else f"@edge-agender-test-{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def supervisor(address: str) -> Iterator[Supervisor]:
    supervisor = Supervisor(address)
    yield supervisor
    supervisor.socket.close()


def test_a_life_is_told_in_order(supervisor: Supervisor, address: str) -> None:
    with Notifier.from_environment({"NOTIFY_SOCKET": address}) as notifier:
        assert notifier.active
        notifier.ready("counting")
        notifier.status("two\nlines")
        notifier.stopping()
    assert supervisor.heard() == ["READY=1\nSTATUS=counting", "STATUS=two lines", "STOPPING=1"]


def test_a_reload_carries_the_monotonic_time(supervisor: Supervisor, address: str) -> None:
    with Notifier(address) as notifier:
        notifier.reloading()
    (message,) = supervisor.heard()
    first, second = message.split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_frames_feed_the_watchdog_no_oftener_than_needed(supervisor: Supervisor, address: str) -> None:
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
    with Notifier.from_environment(environment) as notifier:
        assert notifier.watchdog_s == 8
        for now_s in (100.0, 100.5, 101.9, 102.0, 102.1, 104.5):
            notifier.fresh_frame(now_s)
    assert supervisor.heard() == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)
def test_no_watchdog_is_fed_that_is_not_ours(supervisor: Supervisor, address: str, environment: dict[str, str]) -> None:
    with Notifier.from_environment({"NOTIFY_SOCKET": address, **environment}) as notifier:
        notifier.fresh_frame(1.0)
        assert notifier.watchdog_s is None
    assert supervisor.heard() == []


def test_without_a_supervisor_nothing_happens() -> None:
    with Notifier.from_environment({}) as notifier:
        assert not notifier.active
        notifier.ready("counting")
        notifier.stopping()


def test_a_supervisor_that_is_gone_or_deaf_stops_nothing(tmp_path: Path) -> None:
    with Notifier(f"{tmp_path}/nobody") as notifier:
        notifier.ready()
    supervisor = Supervisor(f"{tmp_path}/deaf")
    with Notifier(f"{tmp_path}/deaf") as notifier:
        for number in range(2000):  # more than its queue holds: a blocking socket would hang here
            notifier.status(str(number))
    assert 0 < len(supervisor.heard()) < 2000
    supervisor.socket.close()


def test_what_systemd_waits_for_is_said_once_its_full_socket_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agender.device.systemd.PATIENCE_S", 0.01)
    supervisor = Supervisor(f"{tmp_path}/busy")
    with Notifier(f"{tmp_path}/busy", watchdog_s=8.0) as notifier:
        for number in range(2000):
            notifier.status(str(number))
        notifier.reloading()
        notifier.ready("counting")
        notifier.fresh_frame(1.0)
        assert not [text for text in supervisor.heard() if "STATUS=" not in text]
        notifier.fresh_frame(9.0)
    heard = [text.partition("\n")[0] for text in supervisor.heard()]
    assert heard == ["RELOADING=1", "READY=1", "WATCHDOG=1"]
    supervisor.socket.close()


def test_ready_is_repeated_without_a_watchdog_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agender.device.systemd.PATIENCE_S", 0.01)
    supervisor = Supervisor(f"{tmp_path}/busy")
    with Notifier(f"{tmp_path}/busy") as notifier:
        for number in range(2000):
            notifier.status(str(number))
        notifier.ready()
        supervisor.heard()
        notifier.fresh_frame(1.0)
    assert supervisor.heard() == ["READY=1"]
    supervisor.socket.close()


def test_ready_is_heard_as_soon_as_a_full_socket_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agender.device.systemd.PATIENCE_S", 60.0)
    supervisor, heard = Supervisor(f"{tmp_path}/busy"), list[str]()
    with Notifier(f"{tmp_path}/busy") as notifier:
        for number in range(2000):
            notifier.status(str(number))
        reader = Timer(0.1, lambda: heard.extend(supervisor.heard()))
        reader.start()
        notifier.ready("counting")
        reader.join()
    assert [*heard, *supervisor.heard()][-1] == "READY=1\nSTATUS=counting"
    supervisor.socket.close()


def test_a_credential_is_its_file_and_a_missing_one_is_none(tmp_path: Path) -> None:
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert credential("mqtt-password", environment) is None
    (tmp_path / "mqtt-password").write_text("secret\n")
    assert credential("mqtt-password", environment) == tmp_path / "mqtt-password"
    assert credential("mqtt-password", {}) is None


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists here, so that only the unit is judged."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/edge-agender/bin/edge-agender", "/bin/true"))
    return path


def test_systemd_understands_every_line_of_the_unit(unit: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_exposes_little(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_the_unit_keeps_the_fast_kernels_and_gives_up_on_a_bad_configuration() -> None:
    lines = UNIT.read_text().splitlines()
    assert not [line for line in lines if line.startswith("ProcSubset=")], "cpuinfo needs /proc/cpuinfo"
    assert "RestartPreventExitStatus=78" in lines
    assert "LimitCORE=0" in lines
