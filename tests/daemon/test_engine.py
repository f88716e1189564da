"""The engine on the demo and a sink that remembers: what is counted, when the camera closes, what survives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agender.audience.measures import Content
from edge_agender.capture.thread import Capture
from edge_agender.config.load import load
from edge_agender.daemon import camera
from edge_agender.delivery.inbox import Inbox
from edge_agender.device.switch import Switch
from edge_agender.errors import ConfigError, MediaError, ModelError
from edge_agender.imaging.frame import Frame
from edge_agender.vision.pipeline import Observation
from tests.support.engine import DEMO, engine_on, run

pytestmark = pytest.mark.usefixtures("patient")


def test_a_frame_is_given_back_whatever_becomes_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []

    def broken(frame: Frame) -> Observation:
        raise RuntimeError("no")

    with engine_on(tmp_path) as (engine, sink, _):
        assert engine.camera.capture
        take = engine.camera.capture.slot.take

        def watched(timeout_s: float) -> Frame | None:
            frame = take(timeout_s)
            return frame and frame.altered(release=lambda: given_back.append(len(sink.messages)))

        monkeypatch.setattr(engine.camera.capture.slot, "take", watched)
        run(engine, lambda: len(given_back) == 2)
        assert given_back[0] > 0, "it was given back before its message was out"
        monkeypatch.setattr(engine.pipeline, "process", broken)
        with pytest.raises(RuntimeError, match="no"):
            run(engine)
    assert len(given_back) == 3


def test_every_processed_frame_of_a_recording_is_a_valid_message(tmp_path: Path) -> None:
    with engine_on(tmp_path, "source.demo.duration_s=8", "publish.idle_s=0") as (engine, sink, _):
        run(engine)
        engine.finish()
    frames = sink.kind("frame")
    assert len(frames) == 80
    assert [frame["sequence"] for frame in frames] == list(range(80))
    assert max(frame["audience"]["count"] for frame in frames) >= 2
    assert engine.camera.counts.dropped == 0


def test_the_level_decides_which_kinds_exist(tmp_path: Path) -> None:
    kinds: dict[str, set[str]] = {}
    for level in ("aggregate", "frame", "viewer"):
        options = ("source.demo.duration_s=8", "publish.health_s=86400", f"privacy.level={level}")
        with engine_on(tmp_path / level, *options) as (engine, sink, _):
            run(engine)
        # A window of a day, where midnight was just now.
        kinds[level] = {message.kind for message in sink.messages} - {"window"}
    assert kinds == {"aggregate": {"enabled"}, "frame": {"enabled", "frame"}, "viewer": {"enabled", "frame", "viewer"}}


def test_switching_off_closes_the_camera_and_says_so(tmp_path: Path) -> None:
    with engine_on(tmp_path, until_end=False) as (engine, sink, inbox):
        run(engine, until=lambda: engine.camera.counts.captured > 5)
        inbox.enabled("enabled/set", b"off")
        run(engine, until=lambda: engine.camera.capture is None)
        captured = engine.camera.counts.captured
        engine.step()
        assert engine.camera.counts.captured == captured
        inbox.enabled("enabled/set", b"on")
        run(engine, until=lambda: engine.camera.counts.captured > captured)
    assert [(m["enabled"], m["measuring"]) for m in sink.kind("enabled")] == [
        (True, True),
        (False, False),
        (True, True),
    ]


def test_who_is_there_when_it_is_switched_off_is_not_counted_again_when_it_is_on(tmp_path: Path) -> None:
    options = ("source.demo.stay=true", "source.demo.people=2", "privacy.level=viewer")
    with engine_on(tmp_path, *options, until_end=False) as (engine, sink, inbox):

        def visits_of(frames: int) -> list[dict[str, Any]]:
            """Switch on, look at that many frames and more, switch off; return who has been there."""
            told, opened_at = len(sink.kind("viewer")), engine.camera.counts.captured
            inbox.enabled("enabled/set", b"on")
            run(engine, until=lambda: engine.camera.counts.captured > opened_at + frames)
            inbox.enabled("enabled/set", b"off")
            run(engine, until=lambda: engine.camera.capture is None)
            return sink.kind("viewer")[told:]

        assert visits_of(200)
        before = engine.camera.counts.captured
        again = visits_of(30)
        assert again
        # They stand there all the time, but nobody saw them while the camera was closed.
        assert all(visit["dwell_s"] <= (engine.camera.counts.captured - before) / 10 for visit in again)


def test_the_switch_survives_a_restart(tmp_path: Path) -> None:
    with engine_on(tmp_path, until_end=False) as (engine, _, inbox):
        inbox.enabled("enabled/set", b'{"enabled": false}')
        run(engine, until=lambda: engine.camera.capture is None)
    with engine_on(tmp_path, until_end=False) as (engine, sink, _):
        engine.step()
        assert engine.camera.counts.captured == 0
    assert [m["reason"] for m in sink.kind("enabled")] == ["command"]


def test_a_local_file_closes_the_camera(tmp_path: Path) -> None:
    off = tmp_path / "off"
    off.touch()
    with engine_on(tmp_path, f"schedule.off_file={off}", until_end=False) as (engine, sink, _):
        engine.step()
        assert engine.camera.capture is None
    assert [m["reason"] for m in sink.kind("enabled")] == ["file"]


def test_open_windows_are_completed_by_the_next_process(tmp_path: Path) -> None:
    with engine_on(tmp_path, "source.demo.duration_s=8", "window.length_s=86400") as (engine, _, _inbox):
        run(engine)
    saved = json.loads((tmp_path / "windows.json").read_text())
    assert saved["audience"]["windows"]["open"]
    with engine_on(tmp_path, "source.demo.duration_s=8", "window.length_s=60") as (engine, sink, _inbox):
        run(engine)
    assert sum(window["length_s"] == 86400 for window in sink.kind("window")) == 1


def test_a_damaged_state_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "windows.json").write_text("{not json")
    with engine_on(tmp_path, "source.demo.duration_s=1") as (engine, sink, _):
        run(engine)
    assert sink.kind("enabled")[0]["measuring"]


def test_a_damaged_switch_keeps_the_camera_closed(tmp_path: Path) -> None:
    (tmp_path / "enabled.json").write_text("{not json")
    with engine_on(tmp_path, until_end=False) as (engine, sink, inbox):
        engine.step()
        assert engine.camera.capture is None
        inbox.enabled("enabled/set", b"on")
        run(engine, until=lambda: engine.camera.counts.captured > 0)
    assert [m["measuring"] for m in sink.kind("enabled")] == [False, True]


def test_a_pin_that_is_not_there_refuses_the_reload_and_changes_nothing(tmp_path: Path) -> None:
    off = tmp_path / "off"
    with engine_on(tmp_path, f"schedule.off_file={off}", until_end=False) as (engine, _, _inbox):
        with pytest.raises(ConfigError, match="off_pin"):
            engine.reconfigure(load(None, [*DEMO, "schedule.off_pin=3", "schedule.off_pin_chip=/none"]))
        off.touch()
        engine.camera.look_again()
        engine.step()
        assert engine.camera.capture is None


def test_a_new_configuration_takes_over_without_a_gap_in_the_sequence(tmp_path: Path) -> None:
    with engine_on(tmp_path, "publish.idle_s=0", until_end=False) as (engine, sink, _):
        run(engine, until=lambda: engine.camera.counts.captured > 5)
        engine.reconfigure(load(None, [*DEMO, "schedule.off_file=null", "publish.idle_s=0", "source.demo.people=1"]))
        captured = engine.camera.counts.captured
        run(engine, until=lambda: engine.camera.counts.captured > captured + 5)
    sequences = [frame["sequence"] for frame in sink.kind("frame")]
    assert sequences == list(range(len(sequences)))


def test_a_source_that_does_not_open_refuses_the_reload_and_the_old_one_goes_on(tmp_path: Path) -> None:
    off = tmp_path / "off"
    with engine_on(tmp_path, until_end=False) as (engine, _, _inbox):
        run(engine, until=lambda: engine.camera.counts.captured > 3)
        wanted = ["source.kind=opencv", "source.opencv.uri=/none.mp4", f"schedule.off_file={off}"]
        with pytest.raises(MediaError, match="no such file"):
            engine.reconfigure(load(None, [*DEMO, *wanted]))
        off.touch()  # belongs to what was refused
        captured = engine.camera.counts.captured
        engine.camera.look_again()
        run(engine, until=lambda: engine.camera.counts.captured > captured + 3)
        assert engine.config.source.kind == "demo"


def test_a_new_source_stays_closed_where_the_new_schedule_says_so(tmp_path: Path) -> None:
    off = tmp_path / "off"
    off.touch()
    with engine_on(tmp_path, until_end=False) as (engine, sink, _inbox):
        run(engine, until=lambda: engine.camera.counts.captured > 3)
        engine.reconfigure(load(None, [*DEMO, "source.demo.people=1", f"schedule.off_file={off}"]))
        assert engine.camera.capture is None
        engine.step()
        assert engine.camera.capture is None
    assert [(m["measuring"], m["reason"]) for m in sink.kind("enabled")] == [(True, "on"), (False, "file")]


def test_pictures_are_looked_at_once_also_when_a_reload_brings_them(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.full((48, 64, 3), 99, np.uint8))
    with engine_on(tmp_path / "state", until_end=False) as (engine, _, _inbox):
        run(engine, until=lambda: engine.camera.counts.captured > 3)
        images = ["source.kind=images", f"source.images.paths=[{picture}]", "schedule.off_file=null"]
        engine.reconfigure(load(None, [*DEMO, *images, "window.length_s=86400"]))
        run(engine)  # it ends
        assert engine.observation is not None
        assert engine.observation.picture_px == (64, 48)


def test_people_are_found_in_every_round_of_a_recording(tmp_path: Path) -> None:
    options = ["source.demo.duration_s=8", "privacy.level=viewer"]
    with engine_on(tmp_path, *options, until_end=False) as (engine, _, _inbox):
        run(engine, until=lambda: engine.camera.counts.captured > 80)
        searches = engine.pipeline.work.searches
        run(engine, until=lambda: engine.camera.counts.captured > 160)
        assert engine.pipeline.work.searches > 1.5 * searches


def test_what_fails_while_it_opens_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Capture] = []
    closed: list[Switch] = []
    monkeypatch.setattr(camera, "Capture", lambda *a, **b: opened.append(Capture(*a, **b)) or opened[-1])
    monkeypatch.setattr(Switch, "close", lambda self: closed.append(self))
    with pytest.raises(ModelError), engine_on(tmp_path, "estimator.model=none", until_end=False):
        pass
    assert [capture.slot.ended for capture in opened] == [True]
    assert closed


def test_what_cannot_change_while_running_is_refused_and_the_old_stays(tmp_path: Path) -> None:
    with engine_on(tmp_path, until_end=False) as (engine, _, _inbox):
        before = engine.config
        with pytest.raises(ConfigError, match="mqtt: cannot change while running"):
            engine.reconfigure(load(None, [*DEMO, "schedule.off_file=null", "mqtt.host=elsewhere"]))
        assert engine.config is before
        run(engine, until=lambda: engine.camera.counts.captured > 3)


def test_health_tells_what_gating_saved(tmp_path: Path) -> None:
    with engine_on(tmp_path, "source.demo.duration_s=12", "publish.health_s=1", "source.demo.people=0") as (
        engine,
        sink,
        _,
    ):
        engine.health.due_s = 0.0  # the demo runs faster than the clock
        run(engine, until=lambda: engine.pipeline.work.frames >= 100)
        engine.health.due_s = 0.0
        engine.step()
    health = sink.kind("health")[-1]
    assert health["frames"] > 0
    assert health["detections_saved"] > 0
    assert health["memory_mb"] > 10


def test_content_is_followed(tmp_path: Path) -> None:
    with engine_on(tmp_path, "source.demo.duration_s=8", "privacy.level=viewer") as (engine, sink, inbox):
        inbox.content("content", b'{"id": "sale"}')
        run(engine)
    viewers = sink.kind("viewer")
    assert viewers
    assert all(share["id"] == "sale" for viewer in viewers for share in viewer["content"])


def test_a_video_that_is_none_is_one_line_when_the_engine_opens(tmp_path: Path) -> None:
    with (
        pytest.raises(MediaError, match="no such file"),
        engine_on(tmp_path, "source.kind=opencv", "source.opencv.uri=/none.mp4"),
    ):
        pass


def test_orders_are_bounded_and_bad_ones_dropped() -> None:
    inbox = Inbox()
    for _ in range(100):
        inbox.content("c", b'{"id": "b"}')
    inbox.enabled("t", b"on")
    inbox.enabled("t", b"off")
    inbox.enabled("t", b"perhaps")
    inbox.content("c", b"\xff\xff")
    inbox.content("c", b'{"id": 7}')
    assert inbox.drain() == [False, *[Content("b")] * 32]
    inbox.content("c", b'{"id": "a"}')
    assert inbox.drain() == [Content("a")]


def test_who_switches_on_and_off_all_the_time_is_obeyed_once_a_second() -> None:
    now_s = 0.0
    inbox, taken = Inbox(lambda: now_s), []
    for number in range(49):
        inbox.enabled("t", b"on" if number % 2 else b"off")
        taken += inbox.drain()
        now_s += 1 / 16
    assert len(taken) == 4
    now_s += 1.0
    assert inbox.drain() in ([], [False])
    inbox.enabled("t", b"on")
    now_s += 1.0
    assert inbox.drain() == [True]


def test_home_assistant_hears_of_the_device_and_again_after_its_birth(tmp_path: Path) -> None:
    with engine_on(tmp_path, "source.demo.duration_s=2", "home_assistant.enabled=true") as (engine, sink, inbox):
        inbox.birth("homeassistant/status", b"offline")
        engine.step()
        inbox.birth("homeassistant/status", b"online")
        engine.step()
    topics = [message.topic for message in sink.messages if message.kind == "discovery"]
    assert len(topics) == 2
    assert all(topic.startswith("homeassistant/device/") for topic in topics)
