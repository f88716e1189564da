from __future__ import annotations

import json

import pytest

from edge_agender.audience.spans import DAY_S, Closed, Spans
from edge_agender.audience.tally import Tally, to_plain, windows_of
from tests.support.visits import NOON_S, visit

NOW_S = NOON_S + 3600
Windows = Spans[Tally]


def windows(length_s: int = 60) -> Windows:
    return Spans(length_s, 2.0, windows_of(1))


def leave(into: Windows, last_s: float) -> None:
    into.at(NOON_S + last_s).leave(visit(last_s))


def frame(into: Windows, at_s: float, now_s: float, count: int = 0) -> None:
    for tally, seconds in into.watched(NOON_S + at_s, now_s):
        tally.watch(seconds, count, 100.0, None)


def watch(into: Windows, start_s: float, end_s: float, count: int = 1, fps: float = 2.0) -> None:
    """Frames from start to end, in seconds after noon; both clocks run alike."""
    for step in range(round((end_s - start_s) * fps) + 1):
        at_s = start_s + step / fps
        frame(into, at_s, 1000 + at_s, count)


def starts(closed: list[Closed[Tally]]) -> list[float]:
    return [window.start_utc_s - NOON_S for window in closed]


def test_windows_begin_with_the_clock_and_end_after_the_grace() -> None:
    book = windows()
    watch(book, 30, 61)
    assert book.due(NOON_S + 61.9) == []
    (window,) = book.due(NOON_S + 62)
    assert (window.start_utc_s, window.length_s, window.historical) == (NOON_S, 60, False)
    assert book.due(NOON_S + 62) == []


def test_frames_cover_the_time_between_them_shared_out_at_the_boundary() -> None:
    book = windows()
    watch(book, 30.25, 90.25, count=2)
    first, second = book.due(NOON_S + 200)
    assert first.tally.covered_s == pytest.approx(29.75)
    assert second.tally.covered_s == pytest.approx(30.25)
    assert first.tally.count_s / first.tally.covered_s == pytest.approx(2)


def test_a_pause_is_not_covered() -> None:
    book = windows()
    watch(book, 0, 10)
    watch(book, 30, 40)
    assert book.due(NOON_S + 70)[0].tally.covered_s == pytest.approx(20)


def test_what_was_never_watched_makes_no_window() -> None:
    book = windows()
    watch(book, 0, 10)
    watch(book, 250, 260)
    assert starts(book.due(NOON_S + 400)) == [0, 240]


def test_a_visit_belongs_to_the_window_of_its_last_detection() -> None:
    book = windows()
    watch(book, 0, 61)
    leave(book, 59.9)
    leave(book, 60.1)
    first, second = book.due(NOON_S + 130)
    assert (first.tally.viewers, second.tally.viewers) == (1, 1)


def test_a_visit_that_becomes_known_too_late_is_counted_and_not_lost() -> None:
    book = windows()
    watch(book, 0, 65)
    assert len(book.due(NOON_S + 65)) == 1
    leave(book, 50)
    assert book.due(NOON_S + 130)[0].tally.viewers == 1


def test_windows_are_numbered_over_restarts_and_changes_of_the_clock() -> None:
    book = windows()
    watch(book, 0, 70)
    numbers = [w.tally.number for w in book.due(NOON_S + 65)]
    killed = book.snapshot()
    for one in (book, windows().restored(killed, NOW_S)):
        watch(one, 80, 130)
        watch(one, -7200, -7190)
        told = one.due(NOON_S + 130)
        assert numbers == [0]
        assert [w.tally.number for w in told] == [1, 2, 3]
        assert [w.start_utc_s - NOON_S for w in told] == [60, 120, -7200]


def test_late_windows_are_historical() -> None:
    book = windows()
    watch(book, 0, 10)
    assert book.due(NOON_S + 600)[0].historical


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    book, reference = windows(), windows()
    for one in (book, reference):
        watch(one, 0, 70)
        leave(one, 50)
    resumed = windows().restored(json.loads(json.dumps(book.snapshot())), NOW_S)
    for one in (resumed, reference):
        leave(one, 65)
        watch(one, 80, 90)
    left, right = resumed.due(NOON_S + 130), reference.due(NOON_S + 130)
    assert starts(left) == [0, 60]
    assert [w.tally.viewers for w in left] == [w.tally.viewers for w in right] == [1, 1]


def test_a_window_told_before_the_restart_is_not_told_again() -> None:
    book = windows()
    watch(book, 0, 65)
    assert starts(book.due(NOON_S + 65)) == [0]
    resumed = windows().restored(book.snapshot(), NOW_S)
    leave(resumed, 50)
    assert starts(resumed.due(NOON_S + 200)) == [60]


def test_another_length_since_the_restart_loses_nothing() -> None:
    book = windows(60)
    watch(book, 0, 70)
    resumed = windows(300).restored(book.snapshot(), NOW_S)
    watch(resumed, 80, 90)
    told = resumed.due(NOON_S + 400)
    assert [(w.start_utc_s - NOON_S, w.length_s) for w in told] == [(0, 60), (60, 60), (0, 300)]


def test_windows_that_are_ready_but_not_fetched_survive_too() -> None:
    book = windows()
    watch(book, 7200, 7210)
    watch(book, 0, 10)
    resumed = windows().restored(json.loads(json.dumps(book.snapshot())), NOW_S)
    assert starts(resumed.due(NOON_S + 100)) == [7200, 0]


def test_a_clock_set_back_ends_what_is_open_and_counts_on() -> None:
    book = windows()
    watch(book, 7200, 7210)
    watch(book, 0, 10)
    assert starts(book.due(NOON_S + 10)) == [7200]
    assert starts(book.due(NOON_S + 70)) == [0]


def test_a_clock_set_back_a_little_disturbs_nothing() -> None:
    book = windows()
    watch(book, 58, 62)
    watch(book, 59, 65)
    assert starts(book.due(NOON_S + 130)) == [0, 60]


def test_a_clock_set_forward_covers_no_time_that_was_not_watched() -> None:
    book = windows()
    watch(book, 0, 10)
    frame(book, 7200, 1010.5)
    assert sum(w.tally.covered_s for w in book.due(NOON_S + 9000)) == pytest.approx(10.5)


@pytest.mark.parametrize(
    "damage",
    [
        {"published": "x"},
        {"published": True},
        {"next_number": -1},
        {"open": [[1, {}]]},
        {"open": 7},
        {"ready": [[1]]},
        {"length_s": None},
        {"open": [[99_999_999, to_plain(Tally())]]},
        {"ready": [[5e9, 60, to_plain(Tally())]]},
        {"ready": [[NOW_S + 365 * 4 * DAY_S, 60, to_plain(Tally())]]},
        {"open": [[1, {**to_plain(Tally()), "viewers": 3}]]},
        {"open": [[1, {**to_plain(Tally()), "covered_s": float("inf")}]]},
    ],
)
def test_a_damaged_snapshot_is_refused(damage: dict[str, object]) -> None:
    book = windows()
    watch(book, 0, 10)
    now_s = NOW_S + 10 * 365 * DAY_S if "ready" not in damage else NOW_S + 365 * 3 * DAY_S
    with pytest.raises(ValueError, match=r"expected|cannot be read|future|unpack|contradict|state"):
        windows().restored({**book.snapshot(), **damage}, now_s)


def test_a_cut_ends_what_is_open_and_lets_the_same_start_come_again() -> None:
    book = windows()
    watch(book, 0, 10)
    book.cut()
    watch(book, 10, 20)
    assert starts(book.due(NOON_S + 70)) == [0, 0]
