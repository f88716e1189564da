"""What check says beyond the configuration's own mistakes: each a line that names the option or the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agender.cli import main
from edge_agender.commands.check.findings import source_problem, warnings_of
from edge_agender.config.settings import Config, ImagesConfig, MqttConfig, OpencvConfig, SourceConfig, WebConfig
from tests.support.broker import Broker, needs_mosquitto, running


def video(uri: Path | str) -> SourceConfig:
    return SourceConfig(kind="opencv", opencv=OpencvConfig(uri=str(uri)))


def images(path: Path) -> SourceConfig:
    return SourceConfig(kind="images", images=ImagesConfig(paths=(path,)))


def test_an_empty_folder_and_one_that_is_not_there_are_said(tmp_path: Path) -> None:
    assert "holds no pictures" in (source_problem(images(tmp_path)) or "")
    assert "no such file" in (source_problem(images(tmp_path / "none")) or "")


def test_a_missing_video_and_a_file_that_is_none_are_said(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video\n" * 100)
    assert "no such file" in (source_problem(video(tmp_path / "none.mp4")) or "")
    assert "notes.mp4" in (source_problem(video(text)) or "")


def test_streams_and_cameras_are_not_opened() -> None:
    assert source_problem(video("rtsp://camera.local/1")) is None
    assert source_problem(video("/dev/video97")) is None
    assert source_problem(SourceConfig()) is None


def test_what_is_not_on_this_machine_is_a_warning(tmp_path: Path) -> None:
    config = Config(
        source=video("97"),
        mqtt=MqttConfig(username="a", password_file=tmp_path / "mqtt-password"),
        web=WebConfig(port=80, password_file=tmp_path / "web-password"),
    )
    said = list(warnings_of(config))
    for part in (
        "/dev/video97: no such camera",
        "web.port: 80 is below 1024",
        "mqtt.password_file",
        "web.password_file",
    ):
        assert any(part in line for line in said), (part, said)
    assert list(warnings_of(Config())) == []


def test_a_source_too_slow_to_follow_anybody_is_named() -> None:
    (said,) = warnings_of(Config.model_validate({"source": {"rate_hz": 0.4}}))
    assert said.startswith("source.rate_hz: at 0.4 frames a second nobody is followed")
    assert list(warnings_of(Config.model_validate({"source": {"rate_hz": 2}}))) == []


def test_check_ends_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", "--config", "/dev/null", "--set", "source.kind=opencv"]
    assert main([*arguments, "--set", f"source.opencv.uri={tmp_path}/none.mp4"]) == 65
    assert "none.mp4: no such file" in capsys.readouterr().err


@needs_mosquitto
def test_check_says_that_it_connected_and_what_the_broker_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(Broker(tmp_path)) as broker:
        arguments = ["--set", "mqtt.host=127.0.0.1", "--set", f"mqtt.port={broker.port}"]
        assert main(["check", "--config", "/dev/null", "--broker", *arguments]) == 0
    said = capsys.readouterr().out
    assert f"ok: broker 127.0.0.1:{broker.port}: connected, MQTT 5, without TLS, without a user name; it takes" in said


def test_check_says_where_a_fleet_may_set_options_from_afar(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", "--config", "/dev/null", "--set", "source.kind=demo"]
    assert main(arguments) == 0
    assert "remote configuration" not in capsys.readouterr().out
    assert main([*arguments, "--set", "fleet={remote_config: true, locked: [schedule]}"]) == 0
    said = capsys.readouterr().out
    assert "remote configuration is on" in said
    assert "save schedule" in said
