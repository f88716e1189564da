"""At level aggregate nothing follows about a single person: another stay of one who comes alone changes no message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_agender.audience.measures import Content
from edge_agender.config.load import load
from edge_agender.daemon.reporter import Reporter
from edge_agender.errors import ConfigError
from edge_agender.imaging.geometry import Box
from edge_agender.messages.sender import Sender
from edge_agender.vision.faces import Estimate, Face
from edge_agender.vision.head_pose import HeadPose
from edge_agender.vision.pipeline import Observation

START_S = 1_700_000_000.0 // 3600 * 3600
RATE_HZ = 10.0
SENDER = Sender("p", "lobby", "0123456789abcdef", "0.1.0", {})


def hour(stay_s: float, years: float, *, turned: bool, level: str = "aggregate") -> list[dict[str, Any]]:
    """Return all messages of an hour in which one person comes alone, while two contents are on by turns."""
    config = load(None, ["source.kind=demo", f"privacy.level={level}"])
    reporter, messages = Reporter(config, SENDER), []
    for number in range(int(75 * RATE_HZ)):
        now_s = number / RATE_HZ
        reporter.show(Content("a" if now_s % 20 < 10 else "b"))
        pose = HeadPose(50.0 if turned and now_s > 12 else 0.0, 0.0, 0.0)
        estimate = Estimate(years, 5.0, 0.9)
        faces = (
            (Face(1, Box(0, 0, 100, 120), 0.9, estimate, 10.0, number - 99, now_s, None, pose),)
            if 10 < now_s <= 10 + stay_s
            else ()
        )
        seen = Observation(number, now_s, START_S + now_s, faces, True, 100.0, (640, 480), 600.0)
        messages += list(reporter.observe(seen))
    messages += list(reporter.windows_due(START_S + 2 * 3600))
    return [json.loads(message.payload) for message in messages]


def test_how_long_one_stayed_looked_and_who_it_was_changes_no_message() -> None:
    one = hour(6.0, 22.0, turned=False)
    assert {message["schema"] for message in one} == {"edge-agender.window", "edge-agender.demographics"}
    assert one[0]["viewers"] == 1
    assert one == hour(31.0, 22.0, turned=False) == hour(31.0, 71.0, turned=True)


@pytest.mark.parametrize(
    ("came_s", "went_s", "away"),
    [(10.0, 50.0, True), (60.05, 70.0, False)],
    ids=["one who looks away ten times is not ten", "one who comes with the next minute's first frame"],
)
def test_no_mean_tells_how_long_one_was_in_view(came_s: float, went_s: float, away: bool) -> None:
    reporter = Reporter(load(None, ["source.kind=demo", "privacy.level=aggregate"]), SENDER)
    seen_s = came_s
    for number in range(80):
        now_s = number + 0.5
        here = came_s < now_s <= went_s
        if here and not (away and now_s % 4 > 3):
            seen_s = now_s
        # The tracker holds on to somebody for a while.
        held = came_s < now_s <= went_s + 1
        faces = (Face(1, Box(0, 0, 100, 120), 0.9, None, came_s, number, seen_s, None, None),) if held else ()
        seen = Observation(number, now_s, START_S + now_s, faces, True, 100.0, (640, 480), 600.0)
        list(reporter.observe(seen))
    windows = [json.loads(message.payload) for message in reporter.windows_due(START_S + 3599)]
    means = [window["audience"]["mean"] for window in windows if window["schema"] == "edge-agender.window"]
    assert set(means) <= {None, 0.0}
    assert None in means


@pytest.mark.parametrize(("before", "after", "kept"), [("viewer", "aggregate", 0), ("aggregate", "frame", 2)])
def test_the_page_shows_no_window_that_a_stricter_level_would_not_release(before: str, after: str, kept: int) -> None:
    old, new = (
        Reporter(load(None, ["source.kind=demo", f"privacy.level={level}"]), SENDER) for level in (before, after)
    )
    for number in range(75):
        faces = (
            (Face(1, Box(0, 0, 100, 120), 0.9, None, 10.0, number, float(number), None, None),) if number > 10 else ()
        )
        list(old.observe(Observation(number, number, START_S + number, faces, True, 100.0, (640, 480), 600.0)))
    list(old.windows_due(START_S + 1800))
    assert len(old.windows) == 2
    new.take_over(old, START_S + 1800)
    assert len(new.windows) == kept


def test_after_the_level_is_loosened_the_open_window_still_withholds() -> None:
    """Who came alone before it was changed was promised a count."""
    old, new = (
        Reporter(load(None, ["source.kind=demo", f"privacy.level={level}"]), SENDER) for level in ("aggregate", "frame")
    )
    for number in range(45):
        faces = (
            (Face(1, Box(0, 0, 100, 120), 0.9, None, 10.0, number, float(number), None, None),)
            if 10 < number < 20
            else ()
        )
        list(old.observe(Observation(number, number, START_S + number, faces, True, 100.0, (640, 480), 600.0)))
    new.take_over(old, START_S + 45)
    windows = [json.loads(message.payload) for message in new.windows_due(START_S + 1800)]
    assert [(window["viewers"], window["dwell"]) for window in windows if "dwell" in window] == [(1, None)]


def test_the_comparison_sees_what_another_level_says() -> None:
    assert hour(6.0, 22.0, turned=False, level="frame") != hour(31.0, 22.0, turned=False, level="frame")


def test_health_is_no_head_count() -> None:
    with pytest.raises(ConfigError, match="health_s must be at least 30"):
        load(None, ["source.kind=demo", "privacy.level=aggregate", "publish.health_s=5"])
    load(None, ["source.kind=demo", "privacy.level=frame", "publish.health_s=5"])
