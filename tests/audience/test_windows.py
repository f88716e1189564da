from __future__ import annotations

import json

import pytest

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.windows import ClosedWindow, Windows
from tests.support.visits import NOON_S, visit

BANDS = AgeBands((18, 35))


def windows(length_s: int = 60) -> Windows:
    return Windows(length_s, 2.0, BANDS)


def watch(into: Windows, start_s: float, end_s: float, count: int = 1, fps: float = 2.0) -> None:
    """Frames from start to end, in seconds after noon; both clocks run alike."""
    for step in range(round((end_s - start_s) * fps) + 1):
        at_s = start_s + step / fps
        into.watch(NOON_S + at_s, 1000 + at_s, count, 100.0, None, None)


def starts(closed: list[ClosedWindow]) -> list[float]:
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
    assert first.tally.peak_count == 2


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
    book.leave(visit(59.9))
    book.leave(visit(60.1))
    first, second = book.due(NOON_S + 130)
    assert (first.tally.viewers, second.tally.viewers) == (1, 1)


def test_a_visit_that_becomes_known_too_late_is_counted_and_not_lost() -> None:
    book = windows()
    watch(book, 0, 65)
    assert len(book.due(NOON_S + 65)) == 1
    book.leave(visit(50))
    assert book.due(NOON_S + 130)[0].tally.viewers == 1


def test_throttling_at_any_moment_counts() -> None:
    book = windows()
    assert windows().due(0) == []
    for at_s, throttled in ((1, None), (2, False), (3, True), (4, False)):
        book.watch(NOON_S + at_s, at_s, 0, None, throttled, None)
    assert book.due(NOON_S + 70)[0].tally.throttled is True


def test_windows_are_numbered_over_restarts_and_changes_of_the_clock() -> None:
    book = windows()
    watch(book, 0, 70)
    numbers = [w.tally.number for w in book.due(NOON_S + 65)]
    killed = book.snapshot()
    for one in (book, windows()):
        one.restore(killed)
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
        one.leave(visit(50))
    resumed = windows()
    resumed.restore(json.loads(json.dumps(book.snapshot())))
    for one in (resumed, reference):
        one.leave(visit(65))
        watch(one, 80, 90)
    left, right = resumed.due(NOON_S + 130), reference.due(NOON_S + 130)
    assert starts(left) == [0, 60]
    assert [w.tally.viewers for w in left] == [w.tally.viewers for w in right] == [1, 1]


def test_a_window_told_before_the_restart_is_not_told_again() -> None:
    book = windows()
    watch(book, 0, 65)
    assert starts(book.due(NOON_S + 65)) == [0]
    resumed = windows()
    resumed.restore(book.snapshot())
    resumed.leave(visit(50))
    assert starts(resumed.due(NOON_S + 200)) == [60]


def test_another_length_since_the_restart_loses_nothing() -> None:
    book = windows(60)
    watch(book, 0, 70)
    resumed = windows(300)
    resumed.restore(book.snapshot())
    watch(resumed, 80, 90)
    told = resumed.due(NOON_S + 400)
    assert [(w.start_utc_s - NOON_S, w.length_s) for w in told] == [(0, 60), (60, 60), (0, 300)]


def test_windows_that_are_ready_but_not_fetched_survive_too() -> None:
    book = windows()
    watch(book, 7200, 7210)
    watch(book, 0, 10)
    resumed = windows()
    resumed.restore(json.loads(json.dumps(book.snapshot())))
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
    book.watch(NOON_S + 7200, 1010.5, 1, None, None, None)
    assert sum(w.tally.covered_s for w in book.due(NOON_S + 9000)) == pytest.approx(10.5)


@pytest.mark.parametrize(
    "damage", [{"format": 99}, {"told": "x"}, {"open": [[1, {}]]}, {"open": 7}, {"ready": [[1]]}, {"length_s": None}]
)
def test_a_damaged_snapshot_is_refused_and_changes_nothing(damage: dict[str, object]) -> None:
    book = windows()
    watch(book, 0, 10)
    before = book.snapshot()
    with pytest.raises(ValueError, match="cannot be read"):
        book.restore({**before, **damage})
    assert book.snapshot() == before
