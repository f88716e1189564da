from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from edge_agender.audience.measures import Content
from edge_agender.config.load import load
from edge_agender.daemon.reporter import Reporter, versions
from edge_agender.imaging.geometry import Box
from edge_agender.messages.message import Message
from edge_agender.messages.sender import sender_of
from edge_agender.vision.faces import Estimate, Face
from edge_agender.vision.pipeline import Observation
from tests.support.message_check import check

START_S = 1_700_000_000.0 // 60 * 60


def observation(number: int, people: int = 1, rate_hz: float = 10.0, focal_px: float | None = None) -> Observation:
    now_s = number / rate_hz
    faces = tuple(
        Face(i, Box(0, 0, 100, 120), 0.9, Estimate(30.0, 5.0, 0.9), 0.0, number + 1, now_s) for i in range(people)
    )
    return Observation(number, now_s, START_S + now_s, faces, True, 100.0, (640, 480), focal_px)


def reporter(*options: str) -> Reporter:
    config = load(None, ["source.kind=demo", *options])
    return Reporter(config, sender_of(config))


def test_a_minute_of_a_person_is_one_window_with_one_viewer() -> None:
    work = reporter("privacy.level=viewer", "privacy.min_cell=1")
    messages = [m for i in range(300) for m in work.observe(observation(i))]
    messages += [m for i in range(300, 900) for m in work.observe(observation(i, people=0))]
    messages += list(work.windows_due(START_S + 3700))
    viewers, windows, periods = (
        [check(m.payload) for m in messages if m.kind == kind] for kind in ("viewer", "window", "demographics")
    )
    assert len(periods) == len(work.periods) == 1
    assert sum(cell["viewers"] for cell in periods[0]["cells"]) + periods[0]["withheld"] == periods[0]["viewers"] == 1
    assert len(viewers) == 1
    assert len(windows) == 2
    assert abs(viewers[0]["dwell_s"] - 29.9) < 0.2
    assert windows[0]["viewers"] == 1
    assert windows[0]["versions"]["estimator"] == "agender-ssrnet"
    assert len(work.windows) == 2


@pytest.mark.parametrize(
    ("options", "focal_px", "word"),
    [
        # A box 120 px high: 20 cm at 2 m is 1200 px of focal length.
        ((), 600.0, "near"),
        ((), 1200.0, "mid"),
        ((), 3000.0, "far"),
        ((), None, "near"),
        (("audience.distance.lens_hfov_deg=25",), 600.0, "mid"),
    ],
)
def test_how_far_off_a_viewer_was_is_told_by_the_lens(
    options: tuple[str, ...], focal_px: float | None, word: str
) -> None:
    work = reporter("privacy.level=viewer", "privacy.min_cell=1", *options)
    for i in range(30):
        list(work.observe(observation(i, focal_px=focal_px)))
    (message,) = (m for m in work.end_visits() if m.kind == "viewer")
    assert check(message.payload)["distance"] == word


def test_a_restart_completes_the_window_once() -> None:
    first = reporter("privacy.min_cell=1")
    for i in range(300):
        list(first.observe(observation(i)))
    list(first.end_visits())
    second = reporter("privacy.min_cell=1")
    second.restore(first.snapshot(), START_S)
    (message,) = second.windows_due(START_S + 90)
    assert check(message.payload)["viewers"] == 1
    assert not list(second.windows_due(START_S + 200))


@pytest.mark.parametrize("nonsense", [3, [], {}, {"format": 99}, {"format": 1, "open": 7}])
def test_a_snapshot_of_nonsense_is_refused(nonsense: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        reporter().restore(nonsense, START_S)


def frames(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [check(message.payload) for message in messages if message.kind == "frame"]


def test_the_last_frame_before_nothing_is_seen_shows_nobody() -> None:
    work = reporter()
    seen = [frame for i in range(20) for frame in frames(work.observe(observation(i, people=3)))]
    assert seen[-1]["audience"]["count"] == 3
    (last,) = frames(work.end_watching(START_S + 5))
    assert (last["audience"]["count"], last["audience"]["mean_age"]) == (0, None)
    assert last["sequence"] == seen[-1]["sequence"] + 1
    assert not frames(work.end_watching(START_S + 6)), "it was said already"


def test_the_same_people_are_a_change_after_nobody_was_seen() -> None:
    """By change alone, a subscriber would be left with nobody where three people stand."""
    work = reporter("publish.frames=change")
    for i in range(20):
        list(work.observe(observation(i, people=3)))
    list(work.end_watching(START_S + 5))
    again = [frame for i in range(20, 40) for frame in frames(work.observe(observation(i, people=3)))]
    assert [frame["audience"]["count"] for frame in again] == [3]


def test_no_frame_of_nobody_where_no_frame_is_released_or_nobody_was_there() -> None:
    for options, people in ((("privacy.level=aggregate",), 3), ((), 0)):
        work = reporter(*options)
        for i in range(20):
            list(work.observe(observation(i, people=people)))
        assert not frames(work.end_watching(START_S + 5))


def test_another_configuration_counts_nobody_twice_and_numbers_on() -> None:
    work = reporter("privacy.level=viewer")
    sequences = [frame["sequence"] for i in range(30) for frame in frames(work.observe(observation(i, people=4)))]
    for length_s in (60, 60, 60):
        after = reporter("privacy.level=viewer", f"window.length_s={length_s}")
        after.show(Content("other"))
        after.take_over(work, START_S + 3)
        assert after.content == work.content
        work = after
    messages = [m for i in range(30, 60) for m in work.observe(observation(i, people=4))]
    messages += [m for i in range(60, 90) for m in work.observe(observation(i, people=0))]
    sequences += [frame["sequence"] for frame in frames(messages)]
    assert sequences == list(range(len(sequences)))
    windows = [check(m.payload) for m in work.close_windows(START_S + 9) if m.kind == "window"]
    assert sum(window["viewers"] for window in windows) == 4
    assert sum(window["opportunities_to_see"] for window in windows) == 4
    assert [m.kind for m in messages].count("viewer") == 4
    assert (work.totals.windows, work.totals.viewers) == (len(windows), 4)


def test_aggregate_tells_no_frame_and_shows_no_count() -> None:
    work = reporter("privacy.level=aggregate")
    assert not [m for i in range(50) for m in work.observe(observation(i))]
    assert work.view is None


def test_the_fingerprint_changes_with_what_bears_on_the_figures_only() -> None:
    base, threshold, broker = (
        versions(load(None, ["source.kind=demo", *o]))["configuration"]
        for o in ([], ["detector.nms_iou=0.3"], ["mqtt.host=elsewhere"])
    )
    assert base == broker != threshold


def test_frames_are_kept_over_an_outage_where_that_is_wanted() -> None:
    for durable in (True, False):
        work = reporter(f"outbox.frames_durable={str(durable).lower()}")
        (message,) = work.observe(observation(0))
        assert message.durable is durable
        assert message.qos == int(durable)


def test_distance_goes_by_the_width_that_pictures_have_not_by_the_one_asked_for() -> None:
    def told(width_px: int) -> str:
        work = reporter("privacy.level=viewer", "source.width_px=1280")
        seen = [replace(observation(i), picture_px=(width_px, width_px * 3 // 4)) for i in range(20)]
        for each in seen:
            list(work.observe(each))
        (message,) = work.end_visits()
        return str(check(message.payload)["distance"])

    # A 20 cm face of 120 px: 82 cm off in a picture 640 wide, 3.3 m in one of 2560.
    assert (told(640), told(2560)) == ("near", "mid")


def test_the_published_fingerprint_says_nothing_of_a_cameras_password() -> None:
    def fingerprint(uri: str) -> str:
        return versions(load(None, ["source.kind=opencv", f"source.opencv.uri={uri}"]))["configuration"]

    assert fingerprint("rtsp://me:one@camera/1") == fingerprint("rtsp://me:two@camera/1")
    assert fingerprint("rtsp://me:one@camera/1") != fingerprint("rtsp://me:one@other/1")
