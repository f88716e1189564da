"""Which address is next: in a circle, but not at once again one that hangs."""

from __future__ import annotations

from edge_agender.common.backoff import Backoff
from edge_agender.delivery.mqtt.rotation import HANGS_S, Rotation


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def rotation(count: int, clock: Clock) -> Rotation:
    return Rotation(count, Backoff(1.0, 60.0, draw=lambda: 1.0), clock)


def test_waits_grow_by_rounds_and_not_within_one() -> None:
    tried = rotation(3, Clock())
    assert [(tried.next_s(), tried.turn) for _ in range(7)] == [
        (1.0, 1), (1.0, 2), (1.0, 0), (1.0, 1), (1.0, 2), (2.0, 0), (1.0, 1),
    ]  # fmt: skip
    tried.came_up()
    tried.lasted()
    assert [(tried.next_s(), tried.turn) for _ in range(3)] == [(1.0, 2), (1.0, 0), (1.0, 1)]


def test_one_that_hangs_is_left_out_for_a_while() -> None:
    """Of three, a node hangs and another closes while the cluster has no leader: the third has the messages."""
    clock = Clock()
    tried = rotation(3, clock)
    turns = []
    for hangs in (True, False, False, False):
        tried.next_s(hangs=hangs)
        turns.append(tried.turn)
    assert turns == [1, 2, 1, 2]
    clock.now_s = HANGS_S
    tried.next_s()
    assert tried.turn == 0


def test_one_that_hung_is_tried_again_once_the_others_were_three_times_in_vain() -> None:
    """It was started again, and the others are gone: a minute without a broker would be the rotation's own doing."""
    clock = Clock()
    tried = rotation(3, clock)
    tried.next_s(hangs=True)
    turns = []
    for _ in range(7):
        turns.append(tried.turn)
        tried.next_s()
    assert turns == [1, 2, 1, 2, 1, 2, 0]
    pair = rotation(2, clock)
    pair.next_s(hangs=True)
    turns = []
    for hangs in (False, False, False, True, False, False, False):
        turns.append(pair.turn)
        pair.next_s(hangs=hangs)
    assert turns == [1, 1, 1, 0, 1, 1, 1]


def test_where_all_hang_each_is_tried_and_waits_grow() -> None:
    tried = rotation(2, Clock())
    assert [(tried.next_s(hangs=True), tried.turn) for _ in range(5)] == [
        (1.0, 1),
        (1.0, 0),
        (1.0, 1),
        (2.0, 0),
        (1.0, 1),
    ]
    alone = rotation(1, Clock())
    assert [alone.next_s(hangs=True) for _ in range(3)] == [1.0, 2.0, 4.0]


def test_one_that_hung_and_has_lasted_since_is_as_good_as_any() -> None:
    tried = rotation(2, Clock())
    tried.next_s(hangs=True)
    tried.next_s(hangs=True)
    assert tried.turn == 0
    tried.came_up()
    tried.lasted()
    tried.next_s()
    tried.next_s()
    assert tried.turn == 0
