from pathlib import Path

import pytest

from edge_agender.device import board


def write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """The files of a Raspberry Pi 4 with Raspberry Pi OS, as the kernel lays them out."""
    write(tmp_path, "sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    write(tmp_path, "etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n')
    write(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48212\n")
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    write(tmp_path, "proc/self/statm", "40000 25000 9000 700 0 20000 0\n")
    write(tmp_path, "proc/loadavg", "1.25 0.80 0.40 2/200 4242\n")
    return tmp_path


def test_a_pi_is_read_from_its_files(pi: Path) -> None:
    assert board.identify(pi).model == "Raspberry Pi 4 Model B Rev 1.4"
    assert board.identify(pi).os == "Debian GNU/Linux 12 (bookworm)"
    assert board.identify(pi).userland_bits in (32, 64)
    reading = board.read(pi)
    assert reading.temperature_c == pytest.approx(48.212)
    assert reading.load_1min == 1.25
    assert reading.resident_bytes is not None
    assert reading.resident_bytes % 25000 == 0


def test_throttling_tells_now_from_since_boot(pi: Path) -> None:
    throttling = board.throttling(pi)
    assert throttling is not None
    assert throttling.now == board.Throttles(True, False, True, False)
    assert throttling.since_boot == board.Throttles(True, False, True, False)
    write(pi, "sys/devices/platform/soc/soc:firmware/get_throttled", "80002\n")
    throttling = board.throttling(pi)
    assert throttling is not None
    assert throttling.now == board.Throttles(False, True, False, False)
    assert throttling.since_boot == board.Throttles(False, False, False, True)
    assert throttling.now.any


def test_a_pi_5_keeps_the_file_under_another_name(tmp_path: Path) -> None:
    write(tmp_path, "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "0\n")
    throttling = board.throttling(tmp_path)
    assert throttling is not None
    assert not throttling.now.any


def test_the_processor_s_zone_is_preferred_and_a_broken_one_passed_over(tmp_path: Path) -> None:
    for zone, kind, value in (("0", "acpitz", "20000"), ("1", "x86_pkg_temp", "cold"), ("2", "cpu-thermal", "61000")):
        write(tmp_path, f"sys/class/thermal/thermal_zone{zone}/type", kind)
        write(tmp_path, f"sys/class/thermal/thermal_zone{zone}/temp", value)
    assert board.temperature_c(tmp_path) == 61.0


def test_what_is_unknown_is_none_and_never_an_error(tmp_path: Path) -> None:
    assert board.read(tmp_path) == board.Reading(None, None, None, None)
    assert board.identify(tmp_path).model is None
    assert board.identify(tmp_path).os is None
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "not a number\n")
    write(tmp_path, "proc/self/statm", "1\n")
    write(tmp_path, "proc/loadavg", "\n")
    assert board.read(tmp_path) == board.Reading(None, None, None, None)


def test_this_machine_can_be_read() -> None:
    resident_bytes = board.resident_bytes()
    assert resident_bytes is not None
    assert 1e6 < resident_bytes < 1e11
    assert board.identify().cpus >= 1


def test_the_cpu_share_is_over_the_time_between_two_looks() -> None:
    meter = board.CpuMeter()
    assert meter.share(10.0, used_s=3.0) is None
    assert meter.share(14.0, used_s=4.0) == pytest.approx(0.25)
    assert meter.share(15.0, used_s=6.0) == pytest.approx(2.0)
    assert meter.share(15.0, used_s=6.0) is None
