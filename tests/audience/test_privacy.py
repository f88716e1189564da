from __future__ import annotations

import pytest

from edge_agender.audience.counting import FrameCounter
from edge_agender.audience.measures import ContentShare, ContentWindow, Visit
from edge_agender.audience.privacy import Gate
from edge_agender.audience.spans import Closed
from edge_agender.audience.tally import Tally
from edge_agender.config.audience import AudienceConfig
from edge_agender.config.settings import PrivacyConfig
from tests.support.visits import NOON_S, visit


def gate(level: str, min_cell: int = 5) -> Gate:
    return Gate(PrivacyConfig.model_validate({"level": level, "min_cell": min_cell}))


def closed(*visits: Visit, present: int = 9) -> Closed[Tally]:
    tally = Tally(present=present)
    for content in ("a", "b", None):
        tally.watch(20, 1, 100, content)
    for each in visits:
        tally.leave(each)
    return Closed(NOON_S, 60, tally, False)


def saw(*contents: str) -> Visit:
    """Somebody who looked for 1 s of 3 s at each of these, and was there for 4 s in all."""
    return visit(content=tuple(ContentShare(content, 3.0 / len(contents), 1.0) for content in contents))


@pytest.mark.parametrize("level", ["frame", "viewer"])
def test_a_window_with_one_viewer_is_whole_where_frames_show_as_much(level: str) -> None:
    window = gate(level).window(closed(saw("a"), present=1))
    assert window.dwell is not None
    assert window.attention is not None
    assert (window.dwell.total_s, window.attention.total_s, window.mean_count) == (4.0, 2.0, 1.0)
    assert [content.id for content in window.content] == ["a", "b"]


def test_at_aggregate_a_window_of_few_viewers_holds_counts_only() -> None:
    window = gate("aggregate").window(closed(*[saw("a")] * 4, present=4))
    assert (window.viewers, window.opportunities_to_see, window.peak_count) == (4, 4, 0)
    assert (window.dwell, window.attention, window.mean_count) == (None, None, None)
    assert window.content == (ContentWindow(None, 60.0, None, None, None),)


def test_at_aggregate_a_window_of_enough_viewers_is_whole() -> None:
    window = gate("aggregate").window(closed(*[saw("a")] * 5))
    assert window.dwell is not None
    assert window.dwell.total_s == 20.0
    assert window.mean_count == 1.0


def test_no_class_of_the_dwell_histogram_holds_few() -> None:
    """One of six who stayed for a minute: as small a cell as any."""
    six = [visit(dwell_s=4.0)] * 5
    shown = gate("aggregate").window(closed(*six, visit(dwell_s=4.5))).dwell
    hidden = gate("aggregate").window(closed(*six, visit(dwell_s=61.0))).dwell
    assert shown is not None
    assert hidden is not None
    assert (shown.histogram, hidden.histogram, hidden.total_s) == ((6, 0, 0, 0, 0), None, 81.0)
    single = gate("frame").window(closed(visit(dwell_s=61.0))).dwell
    assert single is not None
    assert single.histogram == (0, 0, 0, 0, 1)


def test_a_window_that_began_at_a_stricter_level_keeps_its_promise() -> None:
    begun = closed(saw("a"))
    begun.tally.fewest = 5
    assert gate("frame").window(begun).dwell is None
    begun.tally.fewest = 1
    assert gate("aggregate").window(begun).dwell is None


def test_seconds_of_too_few_do_not_follow_by_subtraction() -> None:
    # Six saw a, one of them b as well: b's seconds would be the window's less a's and those without content.
    window = gate("aggregate").window(closed(*[saw("a")] * 5, saw("a", "b")))
    assert [content.id for content in window.content] == ["a", None]
    assert window.dwell is not None
    rest = window.dwell.total_s - sum(content.dwell_s or 0.0 for content in window.content)
    assert rest == pytest.approx(0.0)
    # All six stand behind what is left: each was there for a second without content.
    alone = gate("aggregate").window(closed(*[visit(content=(ContentShare("a", 4.0, 1.0),))] * 5, saw("a", "b")))
    assert [content.id for content in alone.content] == [None]


def test_looks_of_too_few_are_withheld_where_others_were_not_measured() -> None:
    unmeasured = visit(attention_s=None, glances=None, is_engaged=False)
    window = gate("aggregate").window(closed(*[unmeasured] * 5, saw("a")))
    assert window.attention is None
    assert window.dwell is not None
    assert all(content.attention_s is None for content in window.content)


def test_an_empty_window_has_no_means() -> None:
    window = gate("aggregate").window(Closed(NOON_S, 60, Tally(), True))
    assert (window.mean_count, window.light, window.viewers, window.historical) == (None, None, 0, True)


@pytest.mark.parametrize(("level", "frames", "viewers"), [("aggregate", 0, 0), ("frame", 1, 0), ("viewer", 1, 1)])
def test_what_a_level_does_not_release_is_not_made(level: str, frames: int, viewers: int) -> None:
    view = FrameCounter(AudienceConfig()).view([], sequence=0, now_s=0.0, utc_s=NOON_S)
    released = gate(level).frame(view)
    assert (released is not None, gate(level).releases_frames) == (bool(frames), bool(frames))
    assert (released is not None and released.people is not None) == bool(viewers)
    assert (gate(level).viewer(visit()) is not None, gate(level).releases_viewers) == (bool(viewers), bool(viewers))


def test_a_viewers_start_is_a_full_minute_and_a_passer_by_is_nobodys_business() -> None:
    viewer = gate("viewer").viewer(visit(119.0, 4.0))
    assert viewer is not None
    assert viewer.start_utc_s == NOON_S + 60
    assert gate("viewer").viewer(visit(is_viewer=False)) is None
