"""The engine over reloads, missing cameras, kills and restarts: who is counted, once, and in which message."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agender.audience.counting import Audience
from edge_agender.capture.freshness import FROZEN
from edge_agender.capture.thread import Capture
from edge_agender.config.load import load
from edge_agender.daemon import camera
from edge_agender.daemon import engine as engine_module
from edge_agender.daemon import saved as saved_module
from edge_agender.daemon.alarms import QUIET
from edge_agender.daemon.engine import Engine
from edge_agender.errors import CameraError
from tests.support.engine import DEMO, ENGINE, Memory, engine_on, run
from tests.support.message_check import check

pytestmark = pytest.mark.usefixtures("patient")

# -- reloads

# People who stay: what a reload loses or counts twice shows.
PEOPLE = 12
CROWD = (f"source.demo.people={PEOPLE}", "source.demo.stay=true")


def counted(engine: Engine, sink: Memory) -> tuple[int, int]:
    """Viewers and opportunities to see, once everything is closed and published."""
    engine.finish()
    windows = sink.kind("window")
    return sum(w["viewers"] for w in windows), sum(w["opportunities_to_see"] for w in windows)


def test_ten_reloads_that_change_nothing_leave_everybody_one_visitor(tmp_path: Path) -> None:
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, sink, _):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        pipeline, reporter = engine.pipeline, engine.reporter
        for number in range(10):
            assert not engine.reconfigure(load(None, [*DEMO, *ENGINE, *CROWD]))
            run(engine, until=lambda number=number: engine.pipeline.work.frames >= 32 + 2 * number)
        assert (engine.pipeline, engine.reporter) == (pipeline, reporter)
        assert counted(engine, sink) == (PEOPLE, PEOPLE)


CHANGES = {
    "tracking": "tracking.max_gap_s=2.5",
    "gating": "gating.idle_interval_s=0.3",
    "detector": "detector.nms_iou=0.5",
    "estimator": "estimator.threads=2",
    "audience": "audience.age_bands=[20, 40]",
    "looking": "audience.looking.smooth_s=0.3",
    "privacy": "privacy.level=viewer",
    "publish": "publish.max_rate_hz=3",
    "window": "window.length_s=43200",
    "schedule": "schedule.hours=[00:00-24:00]",
    "log": "log.level=warning",
}


def test_a_reload_of_anything_but_the_source_leaves_everybody_one_visitor(tmp_path: Path) -> None:
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, sink, inbox):
        inbox.content("content", b'{"id": "sale"}')
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        for number, change in enumerate(CHANGES.values()):
            assert engine.reconfigure(load(None, [*DEMO, *ENGINE, *CROWD, change])), change
            run(engine, until=lambda number=number: engine.pipeline.work.frames >= 32 + 2 * number)
        assert engine.reporter.content.id == "sale"
        assert counted(engine, sink) == (PEOPLE, PEOPLE)
    sequences = [frame["sequence"] for frame in sink.kind("frame")]
    assert sequences == list(range(len(sequences)))


def test_before_another_source_visits_and_windows_end(tmp_path: Path) -> None:
    """What one source showed is never published as another's."""
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.full((48, 64, 3), 99, np.uint8))
    with engine_on(tmp_path / "state", *CROWD, until_end=False) as (engine, sink, _):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        images = ["source.kind=images", f"source.images.paths=[{picture}]"]
        engine.reconfigure(load(None, [*DEMO, *ENGINE, *images]))
        run(engine)
        engine.finish()
    first, second = sink.kind("window")
    assert (first["viewers"], second["viewers"]) == (PEOPLE, 0)
    assert first["versions"] != second["versions"]
    assert first["number"] != second["number"]


def test_whatever_a_reload_raises_the_old_configuration_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["tracking.min_hits=3", "source.rate_hz=9", "schedule.hours=[00:00-24:00]"]
    config = load(None, [*DEMO, *ENGINE, *CROWD, *wanted])
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, _, _inbox):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        for module, name in ((engine_module, "build_pipeline"), (engine_module, "Reporter"), (camera, "Capture")):
            with monkeypatch.context() as patch:
                patch.setattr(module, name, once_failing(getattr(module, name)))
                with pytest.raises(RuntimeError, match="no"):
                    engine.reconfigure(config)
            frames = engine.pipeline.work.frames
            run(engine, until=lambda frames=frames: engine.pipeline.work.frames > frames + 3)
        assert engine.config.source.rate_hz == 10


def test_figures_that_cannot_be_taken_over_leave_the_old_camera_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, _, _inbox):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        capture = engine.camera.capture
        with monkeypatch.context() as patch:
            patch.setattr(Audience, "restore", once_failing(Audience.restore))
            with pytest.raises(RuntimeError, match="no"):
                engine.reconfigure(load(None, [*DEMO, *ENGINE, *CROWD, "source.rate_hz=9"]))
        assert engine.camera.capture is capture


def once_failing(kind: Callable[..., Any]) -> Callable[..., Any]:
    """What `kind` makes, save that the first time fails."""
    failures = [RuntimeError("no")]

    def make(*words: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return kind(*words, **options)

    return make


# -- a camera that is missing


def missing_until(monkeypatch: pytest.MonkeyPatch, tries: int) -> list[float]:
    """The camera is not there for so many attempts; returns when they were made."""
    attempts: list[float] = []

    def make(*words: Any, **options: Any) -> Capture:
        attempts.append(time.monotonic())
        if len(attempts) <= tries:
            raise CameraError("camera 0: no such camera: plug it in")
        return Capture(*words, **options)

    monkeypatch.setattr(camera, "Capture", make)
    monkeypatch.setattr(camera, "RETRY_MIN_S", 0.01)
    monkeypatch.setattr(camera, "SWITCH_EVERY_S", 0.0)
    return attempts


def test_a_camera_that_is_missing_at_the_start_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = missing_until(monkeypatch, 3)
    with engine_on(tmp_path, "publish.health_s=1", until_end=False, patient=True) as (engine, sink, _):
        engine.step()
        assert engine.status(aiming=False).problem == "camera 0: no such camera: plug it in"
        engine.health.due_s = 0.0
        engine.step()
        (health,) = sink.kind("health")
        assert health["source"] == "missing"
        assert health["alarms"] == ["camera 0: no such camera: plug it in"]
        run(engine, until=lambda: engine.pipeline.work.frames > 3)
        assert engine.status(aiming=False).problem is None
    assert len(attempts) == 4
    assert sink.sources == ["missing", "starting", "ok"] or sink.sources == ["missing", "ok"]


def test_nobody_waits_for_a_missing_camera_where_that_was_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing_until(monkeypatch, 3)
    with pytest.raises(CameraError, match="plug it in"), engine_on(tmp_path):
        pass


def test_a_camera_that_is_lost_leaves_nobody_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing_until(monkeypatch, 0)
    with engine_on(tmp_path, *CROWD, "privacy.level=viewer", until_end=False, patient=True) as (engine, sink, _):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        assert engine.camera.capture is not None
        engine.camera.capture._failure = CameraError("camera 0: unplugged")
        engine.camera.capture._stop.set()
        run(engine, until=lambda: "missing" in sink.sources)
        assert sink.kind("frame")[-1]["audience"]["count"] == 0
        assert len(sink.kind("viewer")) == PEOPLE
        run(engine, until=lambda: sink.sources[-1] == "ok")
        frames = engine.pipeline.work.frames
        run(engine, until=lambda: engine.pipeline.work.frames > frames + 5)
        assert engine.camera.counts.restarts == 1


def test_a_stream_in_trouble_shows_nobody_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble: list[str | None] = [None]
    monkeypatch.setattr(camera, "MISSING_AFTER_S", 0.0)
    monkeypatch.setattr(Capture, "problem", property(lambda _: trouble[0]))
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, sink, _):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        trouble[0] = "rtsp://camera: no more frames"
        engine.step()
        assert sink.sources[-1] == "missing"
        assert sink.kind("frame")[-1]["audience"]["count"] == 0
        trouble[0] = None
        run(engine, until=lambda: sink.sources[-1] == "ok")


def test_a_frozen_camera_shows_nobody_and_has_its_own_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem: list[str | None] = [None]
    monkeypatch.setattr(Capture, "frozen", property(lambda _: problem[0] is not None))
    monkeypatch.setattr(Capture, "problem", property(lambda _: problem[0]))
    with engine_on(tmp_path, *CROWD, "publish.health_s=1", until_end=False) as (engine, sink, _):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        problem[0] = FROZEN
        engine.step()
        assert sink.sources[-1] == "frozen"
        assert sink.kind("frame")[-1]["audience"]["count"] == 0
        engine.health.due_s = 0.0
        engine.step()
        health = sink.kind("health")[-1]
        assert (health["source"], health["alarms"], len(health["alarms_since"])) == ("frozen", [FROZEN], 1)
        problem[0] = None
        run(engine, until=lambda: sink.sources[-1] == "ok")


def test_a_day_without_anybody_outlives_a_restart(tmp_path: Path) -> None:
    config = ("source.demo.people=0", "publish.health_s=1")
    with engine_on(tmp_path, *config, until_end=False) as (engine, _, _inbox):
        run(engine, until=lambda: engine.pipeline.work.frames >= 3)
    saved = json.loads((tmp_path / "windows.json").read_text())
    saved["quiet"] = {"seen_utc_s": time.time() - 90_000, "watched_s": 30_000.0}
    (tmp_path / "windows.json").write_text(json.dumps(saved))
    with engine_on(tmp_path, *config, until_end=False) as (engine, sink, _inbox):
        run(engine, until=lambda: engine.pipeline.work.frames >= 3)
        engine.health.due_s = 0.0
        engine.step()
    (alarm,), (since,) = (sink.kind("health")[-1][key] for key in ("alarms", "alarms_since"))
    assert alarm == QUIET
    assert since.endswith(":00:00.000Z")


def test_switched_off_the_last_frame_shows_nobody(tmp_path: Path) -> None:
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, sink, inbox):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
        assert sink.kind("frame")[-1]["audience"]["count"] == PEOPLE
        inbox.enabled("enabled/set", b"off")
        run(engine, until=lambda: engine.camera.capture is None)
        engine.step()
        assert sink.kind("frame")[-1]["audience"]["count"] == 0
        assert sink.sources[-1] == "off"


# -- restarts


def test_content_survives_a_restart(tmp_path: Path) -> None:
    with engine_on(tmp_path, until_end=False) as (engine, _, inbox):
        inbox.content("content", b'{"id": "sale", "until": "2026-01-31T12:00:00Z"}')
        engine.step()
        shown = engine.reporter.content
    with engine_on(tmp_path) as (engine, _, _inbox):
        assert engine.reporter.content == shown
        assert shown.id == "sale"


def test_content_is_on_disk_soon_so_that_a_kill_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "SAVE_CONTENT_S", 0.0)
    path = tmp_path / "windows.json"
    with engine_on(tmp_path, until_end=False) as (engine, _, inbox):
        inbox.content("content", b'{"id": "sale"}')
        run(engine, until=lambda: path.exists() and '"sale"' in path.read_text())


def test_a_recording_closes_its_last_window_and_sums_up(tmp_path: Path) -> None:
    with engine_on(tmp_path, *CROWD, "source.demo.duration_s=4") as (engine, sink, _):
        run(engine)
        assert counted(engine, sink) == (PEOPLE, PEOPLE)
        assert engine.summary().startswith(f"40 frames, 1 windows: {PEOPLE} passed by, {PEOPLE} viewers, ")
    assert json.loads((tmp_path / "windows.json").read_text())["audience"]["windows"]["open"] == []


def test_wherever_it_is_killed_a_window_is_published_in_one_form_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state as it lies on disk at each step is what a killed process leaves; what was put until then is out."""
    now_s, lives = [time.time() // 60 * 60], []
    monkeypatch.setattr(engine_module.time, "time", lambda: now_s[0])
    options, state = ("window.length_s=60", "privacy.level=aggregate"), tmp_path / "state"
    state.mkdir()
    with engine_on(state, *options, until_end=False) as (engine, sink, _):
        for step in range(30):
            now_s[0] += 13
            engine.step()
            folder = tmp_path / str(step)
            folder.mkdir()
            if (state / "windows.json").exists():
                shutil.copy(state / "windows.json", folder)
            lives.append((folder, [m.payload for m in sink.messages if m.kind == "window"]))
    again = 0
    for folder, sent in lives:
        with engine_on(folder, *options, until_end=False) as (engine, sink, _):
            now_s[0] += 3600
            run(engine, until=lambda: engine.camera.counts.captured > 2)
            engine.finish()
        forms: dict[int, set[bytes]] = {}
        for payload in [*sent, *(m.payload for m in sink.messages if m.kind == "window")]:
            forms.setdefault(check(payload)["number"], set()).add(payload)
        assert sorted(forms) == list(range(len(forms))), "a window is missing"
        assert all(len(form) == 1 for form in forms.values()), "one window, two contents"
        again += sum(m.payload in sent for m in sink.messages)
    assert again, "no kill fell between the two"


@pytest.mark.parametrize("synchronised", [False, None])
def test_a_board_whose_clock_starts_days_behind_keeps_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronised: bool | None
) -> None:
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, _, _inbox):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
    behind_s, now = 30 * 86_400, time.time
    monkeypatch.setattr(time, "time", lambda: now() - behind_s)
    monkeypatch.setattr(saved_module, "clock_synchronised", lambda: synchronised)
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, sink, _inbox):
        run(engine, until=lambda: engine.pipeline.work.frames >= 3)
        engine.finish()
    assert not list(tmp_path.glob("*.unusable-*"))
    assert max(window["viewers"] for window in sink.kind("window")) == PEOPLE


def test_once_the_clock_was_set_a_start_in_the_future_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_on(tmp_path, *CROWD, until_end=False) as (engine, _, _inbox):
        run(engine, until=lambda: engine.pipeline.work.frames >= 30)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 30 * 86_400)
    monkeypatch.setattr(saved_module, "clock_synchronised", lambda: True)
    with engine_on(tmp_path, *CROWD, until_end=False):
        assert list(tmp_path.glob("windows.json.unusable-*"))


def test_a_state_that_cannot_be_right_is_an_alarm_and_counting_goes_on(tmp_path: Path) -> None:
    with engine_on(tmp_path, "source.demo.duration_s=2") as (engine, _, _inbox):
        run(engine)
    saved = json.loads((tmp_path / "windows.json").read_text())
    saved["audience"]["windows"]["ready"] = [[4e12, 60, saved["audience"]["windows"]["open"][0][1]]]
    (tmp_path / "windows.json").write_text(json.dumps(saved))
    with engine_on(tmp_path, "source.demo.duration_s=2") as (engine, sink, _inbox):
        engine.health.due_s = 0.0
        run(engine)
        engine.finish()
    assert "set aside" in sink.kind("health")[0]["alarms"][0]
    assert len(sink.kind("window")) == 1
