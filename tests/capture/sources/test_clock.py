"""When pictures are due: bursts, gaps, late ones, clocks that jump, stamps that are missing or damaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest

from edge_agender.capture.sources.clock import MAX_DELAY_S, LiveClock, Pace, RecordingClock

PERIOD_S = 0.04


def due(arrivals: Sequence[tuple[float | None, float]], period_s: float = PERIOD_S) -> list[float]:
    clock = LiveClock(period_s)
    return [clock.due_s(stamp_s, arrival_s) for stamp_s, arrival_s in arrivals]


def steps(times: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def test_pictures_that_arrive_evenly_are_due_at_once() -> None:
    arrivals = [(7000 + i * PERIOD_S, i * PERIOD_S) for i in range(100)]
    assert due(arrivals) == pytest.approx([arrival_s for _, arrival_s in arrivals])


def test_segments_that_arrive_at_once_are_spread_over_the_time_that_they_show() -> None:
    # Two seconds a segment, three of them at the start, as HLS comes.
    arrivals = [(i * PERIOD_S, max(i // 50 - 2, 0) * 2.0) for i in range(1000)]
    times = due(arrivals)
    assert all(time_s >= arrival_s for time_s, (_, arrival_s) in zip(times, arrivals, strict=True))
    # One skip forward, when it is known how late segments are; all else at the stream's own pace.
    uneven = [step for step in steps(times) if step != pytest.approx(PERIOD_S)]
    assert len(uneven) <= 1
    assert all(step < 0 for step in uneven)
    assert times[-1] - arrivals[-1][1] < 3.0


def test_what_a_server_had_kept_does_not_delay_all_that_follows() -> None:
    kept = [(i * PERIOD_S, 0.001 * i) for i in range(50)]
    live = [(2.0 + i * PERIOD_S, 0.05 + i * PERIOD_S) for i in range(250)]
    times = due(kept + live)
    assert times[60] - (kept + live)[60][1] > 1.0
    assert times[-1] - live[-1][1] < 0.3


def test_a_stall_of_the_network_leaves_the_distances_as_they_were() -> None:
    arrivals = [(i * PERIOD_S, i * PERIOD_S if i < 100 else max(i * PERIOD_S, 6.0)) for i in range(200)]
    times = due(arrivals)
    assert steps(times)[100:] == pytest.approx([PERIOD_S] * 99)


def test_jitter_moves_no_picture_before_the_one_before() -> None:
    arrivals = [(i * PERIOD_S, i * PERIOD_S + 0.03 * (i % 3)) for i in range(300)]
    assert all(step >= PERIOD_S - 1e-9 for step in steps(due(arrivals)))


@pytest.mark.parametrize("jump_s", [-1e6, -26.5 * 3600, -0.2, 5.0, 95443.7, 1e9])
def test_a_clock_that_jumps_costs_no_time(jump_s: float) -> None:
    # A camera that started again, a counter of 33 or 32 bits that began anew, a play list's discontinuity.
    arrivals = [(i * PERIOD_S + (jump_s if i >= 100 else 0.0), i * PERIOD_S) for i in range(200)]
    assert due(arrivals) == pytest.approx([arrival_s for _, arrival_s in arrivals], abs=2 * PERIOD_S)


def test_a_discontinuity_within_a_burst_keeps_its_pictures_apart() -> None:
    arrivals = [(i * PERIOD_S + (1000.0 if i >= 25 else 0.0), 0.0) for i in range(50)]
    assert steps(due(arrivals)) == pytest.approx([PERIOD_S] * 49)


@pytest.mark.parametrize("stamp", [None, 5.0, math.nan, math.inf])
def test_stamps_without_sense_are_replaced_by_the_arrival(stamp: float | None) -> None:
    arrivals = [(stamp, i * 0.1) for i in range(100)]
    assert due(arrivals) == pytest.approx([arrival_s for _, arrival_s in arrivals], abs=2 * PERIOD_S)


def test_time_lapse_and_variable_rates_keep_their_gaps() -> None:
    stamps = [0.0, 5.0, 10.0, 15.0, 21.0, 21.5, 40.0]
    assert due([(stamp, stamp + 0.1) for stamp in stamps]) == pytest.approx([stamp + 0.1 for stamp in stamps])


def test_no_stream_is_held_back_for_ever() -> None:
    arrivals = [(i * 1.0, 0.0) for i in range(200)]
    assert max(due(arrivals)) <= MAX_DELAY_S + 1e-9


def test_a_sender_that_is_ahead_on_purpose_is_played_at_its_pace() -> None:
    clock = LiveClock(PERIOD_S)
    clock.adaptive = False
    times = [clock.due_s(i * PERIOD_S, i * PERIOD_S / 2) for i in range(500)]
    assert steps(times) == pytest.approx([PERIOD_S] * 499)


def positions(stamps: Sequence[float | None], longest_s: float | None = None) -> list[float]:
    clock = RecordingClock(PERIOD_S, longest_s)
    return [clock.position_s(stamp) for stamp in stamps]


def test_damaged_stamps_do_not_hold_a_recording_up() -> None:
    found = positions([0.0, 0.04, 9e9, 9e9 + 0.04, 0.1, math.nan, 0.2, *[0.0] * 5], 1.0)
    assert found[0] == 0.0
    assert all(0 < step <= 0.11 for step in steps(found))


def test_a_recording_of_motion_alone_keeps_its_gaps() -> None:
    stamps = [-3.0, -2.9, 597.0, 597.1]
    assert positions(stamps, 600.2) == pytest.approx([0.0, 0.1, 600.0, 600.1])


def test_a_gap_beyond_the_end_of_the_recording_is_damage() -> None:
    assert positions([0.0, 500.0, 500.04], 10.0) == pytest.approx([0.0, PERIOD_S, 2 * PERIOD_S])


def test_a_recording_without_stamps_goes_by_its_rate() -> None:
    assert positions([None, None, None]) == pytest.approx([0.0, PERIOD_S, 2 * PERIOD_S])


def test_a_recording_that_fell_behind_goes_on_from_where_it_is() -> None:
    pace = Pace(PERIOD_S)
    assert pace.due_s(0.0, 100.0) == 100.0
    assert pace.due_s(1.0, 100.1) == 101.0
    assert pace.due_s(1.1, 400.0) == pytest.approx(400.0)
    assert pace.due_s(1.2, 400.0) == pytest.approx(400.1)


def test_a_paced_recording_does_not_wait_hours_for_its_next_picture() -> None:
    pace = Pace(PERIOD_S)
    pace.due_s(0.0, 100.0)
    assert pace.due_s(7200.0, 100.0) == pytest.approx(110.0)
    assert Pace(60.0).due_s(0.0, 0.0) == 0.0
