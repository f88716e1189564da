"""The doctor at the machine: board, power, clock, disk, card, models, service, from files as Linux lays them out."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml

from edge_agender.commands.doctor import machine, unit
from edge_agender.commands.doctor import models as doctor_models
from edge_agender.commands.doctor.clock import check_clock, kernel_is_synchronised
from edge_agender.commands.doctor.disk import card, check_disk, mount_of
from edge_agender.commands.doctor.models import check_models
from edge_agender.commands.doctor.result import Result
from edge_agender.config.settings import Config
from edge_agender.device import installation as place
from edge_agender.device.board import Board
from edge_agender.device.installation import Place, visible
from edge_agender.inference import catalogue as models
from tests.support.unprivileged import folder_for_all, needs_root, nobody

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
NOW_S = 1_800_000_000.0


def write(root: Path, name: str, content: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def told(results: list[Result]) -> dict[str, Result]:
    return {result.check: result for result in results}


def test_a_pi_as_it_should_be(tmp_path: Path) -> None:
    write(tmp_path, "sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    write(tmp_path, "etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    write(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48212\n")
    write(tmp_path, FIRMWARE, "0\n")
    results = told(machine.check_machine(Place(tmp_path)))
    assert {result.state for result in results.values()} == {"ok"}
    assert results["board"].finding.startswith("Raspberry Pi 4 Model B Rev 1.4, ")
    assert results["temperature"].finding == "48 °C"


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    results = told(machine.check_machine(Place(tmp_path)))
    assert [results[name].state for name in ("board", "system", "power", "temperature")] == [
        "ok", "warning", "skipped", "skipped",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bits", "state", "says"),
    [
        ("50005", "failure", "at this moment"),
        ("50000", "warning", "since the last start"),
        ("80008", "warning", "by heat"),
        ("80000", "warning", "by heat"),
        ("0", "ok", "never too little"),
    ],
)
def test_power(tmp_path: Path, bits: str, state: str, says: str) -> None:
    write(tmp_path, FIRMWARE, bits + "\n")
    result = machine.check_power(Place(tmp_path))
    assert result.state == state
    assert says in result.finding


def test_heat_32_bits_and_the_wrong_numpy(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "79000\n")
    assert machine.check_heat(Place(tmp_path)).state == "warning"
    assert machine.check_bits("aarch64", 64).state == "ok"
    assert machine.check_bits("aarch64", 32).state == machine.check_bits("armv7l", 32).state == "failure"
    assert machine.check_python((3, 11), "2.2.0").state == "warning"
    assert machine.check_python((3, 13), "2.2.0").state == machine.check_python((3, 11), "1.26.4").state == "ok"
    assert machine.check_system(Board("?", "Ubuntu 24.04", "6.8", "aarch64", 64, 4)).state == "warning"


def test_clock(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert check_clock(place, 0.0, lambda: True).state == "failure"
    assert check_clock(place, NOW_S, lambda: True).state == "ok"
    assert check_clock(place, NOW_S, lambda: None).state == "skipped"
    never = check_clock(place, NOW_S, lambda: False)
    assert never.state == "warning"
    assert "NTP" in str(never.remedy)
    write(tmp_path, "run/systemd/timesync/synchronized", "")
    assert check_clock(place, NOW_S, lambda: False).state == "ok"
    assert kernel_is_synchronised() in (True, False, None)


def disk(root: Path, mounts: str, **outbox: object) -> dict[str, Result]:
    write(root, "proc/self/mounts", mounts)
    return told(check_disk(Config.model_validate({"outbox": {"path": root / "state", **outbox}}), Place(root)))


def test_disk(tmp_path: Path) -> None:
    root = "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n"
    good = disk(tmp_path, root)
    assert [good[name].state for name in ("disk", "file system", "card")] == ["ok", "ok", "skipped"]
    assert not (tmp_path / "state").exists()
    full = disk(tmp_path, root, max_mb=1e6)
    assert full["disk"].state == "warning"
    broken = disk(tmp_path, root + f"/dev/mmcblk0p3 {tmp_path} ext4 ro,noatime 0 0\n")
    assert broken["file system"].state == "failure"
    assert "read-only" in broken["file system"].finding
    overlay = disk(tmp_path, "overlayroot / overlay rw 0 0\nproc /proc proc rw 0 0\n")
    assert overlay["file system"].state == "warning"


def test_the_nearest_mount_counts_and_of_two_the_upper(tmp_path: Path) -> None:
    lines = [
        "a / ext4 rw 0 0",
        "b /var/my\\040data ext4 rw 0 0",
        "c /var/my\\040data tmpfs rw 0 0",
        "d /var2 xfs rw 0 0",
    ]
    write(tmp_path, "proc/self/mounts", "\n".join(lines))
    for folder, device in (("/var/my data/x", "c"), ("/var", "a"), ("/var2/y", "d")):
        mount = mount_of(Path(folder), Place(tmp_path))
        assert mount is not None
        assert mount.device == device
    assert mount_of(Path("/"), Place(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({"name": "SD64G"}, "ok"),
        ({"life_time": "0x02 0x03\n", "pre_eol_info": "0x01\n"}, "ok"),
        ({"life_time": "0x02 0x09\n", "pre_eol_info": "0x01\n"}, "warning"),
        ({"life_time": "0x02 0x02\n", "pre_eol_info": "0x02\n"}, "warning"),
        ({"life_time": "0x02 0x0b\n", "pre_eol_info": "0x01\n"}, "failure"),
        ({"life_time": "0x02 0x02\n", "pre_eol_info": "0x03\n"}, "failure"),
        ({"life_time": "what\n"}, "ok"),
    ],
)
def test_card(tmp_path: Path, files: dict[str, str], state: str) -> None:
    for name, content in files.items():
        write(tmp_path, f"sys/block/mmcblk0/device/{name}", content)
    write(tmp_path, "sys/fs/ext4/mmcblk0p2/errors_count", "0\n")
    assert card(Place(tmp_path)).state == state
    write(tmp_path, "sys/fs/ext4/mmcblk0p2/errors_count", "3\n")
    assert card(Place(tmp_path)).state == "failure"


def examined(estimator: str) -> dict[str, Result]:
    return told(check_models(Config.model_validate({"estimator": {"model": estimator}}), Place(Path("/nowhere"))))


def test_models_shipped_damaged_missing_and_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    good = examined("agender-ssrnet")
    assert (good["models"].state, good["runtime"].state) == ("ok", "ok")
    added, shipped = tmp_path / "edge-agender/models", models.shipped_folder()
    shutil.copytree(shipped, added)
    manifest = yaml.safe_load((shipped / "manifest.yaml").read_text())
    manifest["models"] = {"mine": manifest["models"]["agender-ssrnet"]}
    (added / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    assert examined("mine")["models"].state == "ok"
    file = added / "agender-ssrnet.tflite"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    damaged = examined("mine")["models"]
    assert damaged.state == "failure"
    assert "SHA-256" in damaged.finding
    assert "models add mine" in str(damaged.remedy)
    file.unlink()
    assert "missing" in examined("mine")["models"].finding
    unknown = examined("ssrnet")["models"]
    assert "not installed" in unknown.finding
    assert unknown.remedy == "Run `edge-agender models add ssrnet`."
    misspelt = examined("agender-ssrnot")["models"]
    assert "did you mean agender-ssrnet?" in misspelt.finding
    assert "models list" in str(misspelt.remedy)
    assert "models list" in str(examined("nothing-like-it")["models"].remedy)


def test_a_damaged_shipped_model_means_installing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = shutil.copytree(models.shipped_folder(), tmp_path / "models")
    (shipped / "face-ssd.tflite").write_bytes(b"cut short")
    monkeypatch.setattr(models, "shipped_folder", lambda: shipped)
    monkeypatch.setattr(doctor_models, "shipped_folder", lambda: shipped)
    damaged = examined("agender-ssrnet")["models"]
    assert "truncated" in damaged.finding
    assert str(damaged.remedy).startswith("Install edge-agender again")


HEALTHY = {
    "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled",
    "NRestarts": "0", "ExecMainStatus": "0", "ProcSubset": "all", **unit.SANDBOX,
}  # fmt: skip


def service(root: Path, monkeypatch: pytest.MonkeyPatch, exposure: str = "1.5", **changes: str) -> dict[str, Result]:
    """The unit's results where systemctl and systemd-analyze are two scripts that print what those would."""
    write(root, "run/systemd/system/x", "")
    shown = "\n".join(f"{key}={value}" for key, value in (HEALTHY | changes).items())
    security = f"x\n\n→ Overall exposure level for edge-agender.service: {exposure} OK 🙂"
    for name, text in (("systemctl", shown), ("systemd-analyze", security)):
        write(root, f"bin/{name}", f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n").chmod(0o755)
    monkeypatch.setenv("PATH", f"{root}/bin:/usr/bin:/bin")
    return told(unit.check_unit(Place(root)))


@pytest.mark.parametrize(
    ("changes", "check", "state", "says"),
    [
        ({}, "service", "ok", "starts with the device"),
        ({}, "sandbox", "ok", "exposure 1.5 of 10"),
        ({"LoadState": "not-found"}, "service", "warning", "not installed"),
        ({"ActiveState": "inactive", "SubState": "dead"}, "service", "warning", "inactive"),
        ({"ActiveState": "failed", "SubState": "failed", "ExecMainStatus": "78"}, "service", "failure", "exit code 78"),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "service", "failure", "auto-restart"),
        ({"ActiveState": "activating", "SubState": "start"}, "service", "warning", "activating (start)"),
        ({"UnitFileState": "disabled"}, "service", "warning", "does not start with the device"),
        ({"NRestarts": "4"}, "service", "warning", "4 restarts"),
        ({"ProcSubset": "pid"}, "sandbox", "warning", "seventy times slower"),
        ({"LimitCORE": "infinity"}, "sandbox", "warning", "LimitCORE is infinity"),
        ({"exposure": "6.2"}, "sandbox", "warning", "6.2 of 10"),
    ],
)
def test_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], check: str, state: str, says: str
) -> None:
    result = service(tmp_path, monkeypatch, **changes)[check]
    assert result.state == state
    assert says in result.finding
    assert result.remedy is not None or state == "ok"


def test_a_service_between_two_attempts_holds_no_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service(tmp_path, monkeypatch)
    assert unit.is_active(Place(tmp_path))
    service(tmp_path, monkeypatch, ActiveState="activating", SubState="auto-restart")
    assert not unit.is_active(Place(tmp_path))


def test_without_systemd_the_service_is_skipped(tmp_path: Path) -> None:
    assert {result.state for result in unit.check_unit(Place(tmp_path))} == {"skipped"}
    assert not unit.is_active(Place(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else for a moment")
def test_what_only_root_may_see_is_told_from_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top, hidden = Path(folder), Path(folder) / "private"
        top.chmod(0o755)
        (hidden / "edge-agender").mkdir(parents=True)
        hidden.chmod(0o700)
        os.seteuid(65534)
        try:
            seen = [visible(path) for path in (top, top / "none", hidden, hidden / "edge-agender")]
        finally:
            os.seteuid(0)
    assert seen == [True, True, False, False]


def test_with_the_unit_installed_the_state_is_the_service_s(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.state_folder(Config()) != tmp_path / "var/lib/edge-agender"
    write(tmp_path, "usr/lib/systemd/system/edge-agender.service", "")
    assert place.state_folder(Config()) == tmp_path / "var/lib/edge-agender"
    assert place.models_folder() == tmp_path / "var/lib/edge-agender/models"


@needs_root
def test_credentials_that_only_the_running_service_sees_are_no_surprise(monkeypatch: pytest.MonkeyPatch) -> None:
    with folder_for_all() as root:
        running = root / "run/credentials/edge-agender.service"
        running.mkdir(parents=True, mode=0o700)
        monkeypatch.setattr(place, "_RUNNING_CREDENTIALS", running)
        tls = {"certificate_file": "/etc/c.pem", "key_file": str(running / "mqtt-key"), "enabled": True}
        config = Config.model_validate({"mqtt": {"tls": tls}}).mqtt
        with nobody():
            assert Place(root).with_credentials(config).tls.key_file == running / "mqtt-key"
