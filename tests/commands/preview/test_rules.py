"""When the preview refuses: each rule is what would make it a leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agender.commands.preview.rules import Surroundings, is_live, refuse_to_show
from edge_agender.config.settings import Config, OpencvConfig, SourceConfig
from edge_agender.errors import UsageError


def place(tmp_path: Path, *, user: str = "anna", environment: dict[str, str] | None = None) -> Surroundings:
    (tmp_path / "self").mkdir(exist_ok=True)
    (tmp_path / "self/cgroup").write_text("0::/user.slice\n")
    return Surroundings(environment or {}, user, tmp_path)


def process(proc: Path, pid: int, cmdline: str, cgroup: str = "/user.slice") -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "cmdline").write_bytes(cmdline.replace(" ", "\0").encode() + b"\0")
    (proc / str(pid) / "cgroup").write_text(f"0::{cgroup}\n")


def refusal(what: str, here: Surroundings, *, config: Config | None = None, in_view: bool = True, writes: bool = False):
    with pytest.raises(UsageError) as raised:
        refuse_to_show(what, config or Config(), in_view=in_view, writes=writes, here=here)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_recording_is_shown(tmp_path: Path) -> None:
    refuse_to_show("video.mp4", Config(), in_view=False, writes=True, here=place(tmp_path))


@pytest.mark.parametrize("variable", ["STATE_DIRECTORY", "NOTIFY_SOCKET"])
def test_not_under_the_unit(tmp_path: Path, variable: str) -> None:
    assert "shell of your own" in refusal("video.mp4", place(tmp_path, environment={variable: "/x"}))


def test_not_in_the_units_control_group(tmp_path: Path) -> None:
    here = place(tmp_path)
    (tmp_path / "self/cgroup").write_text("0::/system.slice/edge-agender.service\n")
    assert "shell of your own" in refusal("video.mp4", here)


def test_not_as_the_services_user(tmp_path: Path) -> None:
    assert "as yourself" in refusal("video.mp4", place(tmp_path, user="edge-agender"))


def test_not_the_pis_camera(tmp_path: Path) -> None:
    assert "rpicam-vid" in refusal("picamera2", place(tmp_path))


@pytest.mark.parametrize("what", ["/dev/video7", "7", "rtsp://camera.local/1", "http://camera.local/video.mjpg"])
def test_a_live_camera_wants_the_flag_and_is_never_written(tmp_path: Path, what: str) -> None:
    here = place(tmp_path)
    assert "--i-am-in-view" in refusal(what, here, in_view=False)
    assert "never written" in refusal(what, here, writes=True)
    refuse_to_show(what, Config(), in_view=True, writes=False, here=here)


@pytest.mark.parametrize(
    ("configured", "asked"), [("/dev/video7", "7"), ("7", "/dev/video7"), ("rtsp://a/1", "rtsp://a/1")]
)
def test_not_the_camera_of_the_services_configuration(tmp_path: Path, configured: str, asked: str) -> None:
    config = Config(source=SourceConfig(kind="opencv", opencv=OpencvConfig(uri=configured)))
    assert "the service's" in refusal(asked, place(tmp_path), config=config)


@pytest.mark.parametrize(
    ("cmdline", "cgroup"),
    [
        ("/opt/edge-agender/bin/python /opt/edge-agender/bin/edge-agender run --config x", "/user.slice"),
        ("python3 -m edge_agender run", "/user.slice"),
        ("something", "/system.slice/edge-agender.service"),
    ],
)
def test_no_camera_beside_a_running_service(tmp_path: Path, cmdline: str, cgroup: str) -> None:
    here = place(tmp_path)
    process(tmp_path, 41, "python3 -m edge_agender preview 7")
    refuse_to_show("/dev/video7", Config(), in_view=True, writes=False, here=here)
    process(tmp_path, 42, cmdline, cgroup)
    assert "stop it first" in refusal("/dev/video7", here)


def test_a_link_to_a_camera_is_a_camera(tmp_path: Path) -> None:
    link = tmp_path / "holiday.mp4"
    link.symlink_to("/dev/video7")
    assert is_live(str(link))
    assert not is_live("holiday.mp4")
    assert not is_live("file:///home/anna/holiday.mp4")
