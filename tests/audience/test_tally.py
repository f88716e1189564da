import json

import pytest

from edge_agender.audience.measures import ContentShare
from edge_agender.audience.tally import MOST_CONTENTS, Tally, from_plain, to_plain
from tests.support.visits import visit


def full() -> Tally:
    tally = Tally()
    tally.watch(10.0, 2, 90.0, "a")
    tally.watch(5.0, 0, None, None)
    shares = (ContentShare("a", 3.0, 1.0), ContentShare("b", 1.0, 1.0))
    tally.leave(visit(content=shares))
    tally.leave(visit(dwell_s=0.2, is_viewer=False))
    tally.leave(visit(dwell_s=60, attention_s=None, glances=None, is_engaged=False, estimate=None))
    return tally


def test_sums() -> None:
    tally = full()
    assert (tally.covered_s, tally.count_s, tally.luma_s, tally.luma_covered_s) == (15.0, 20.0, 900.0, 10.0)
    assert (tally.passes, tally.viewers, tally.dwell_s) == (3, 2, 64.0)
    assert (tally.attention_viewers, tally.attention_s, tally.glances) == (1, 2.0, 1)
    assert tally.engaged == 1
    assert {id_: shown.dwell_s for id_, shown in tally.content.items()} == {"a": 3.0, "b": 1.0, "": 60.0}


@pytest.mark.parametrize(
    ("dwell_s", "place"), [(0.5, 0), (4.99, 0), (5, 1), (15, 2), (30, 3), (59.9, 3), (60, 4), (900, 4)]
)
def test_a_dwell_belongs_to_the_class_that_it_begins(dwell_s: float, place: int) -> None:
    tally = Tally()
    tally.leave(visit(dwell_s=dwell_s))
    assert tally.histogram.index(1) == place


def test_a_viewer_counts_for_all_content_that_it_saw_and_in_one_table() -> None:
    content = full().content
    assert (content["a"].viewers, content["b"].viewers) == (1, 1)
    assert (content["a"].shown_s, content["a"].attention_s) == (10.0, 1.0)
    assert sum(shown.dwell_s for shown in content.values()) == full().dwell_s


def test_made_up_content_does_not_fill_memory() -> None:
    tally = Tally()
    for number in range(1000):
        tally.watch(1.0, 1, None, f"{number}")
        tally.leave(visit(content=(ContentShare(f"{number}", 1.0, 1.0),)))
    assert len(tally.content) <= MOST_CONTENTS + 1
    assert from_plain(to_plain(tally)) == tally
    assert (tally.viewers, tally.covered_s) == (1000, 1000.0)


def test_it_survives_json() -> None:
    assert from_plain(json.loads(json.dumps(to_plain(full())))) == full()


@pytest.mark.parametrize(
    "damage",
    [
        {"viewers": -1},
        {"viewers": "many"},
        {"covered_s": float("nan")},
        {"histogram": [1, 2]},
        {"histogram": None},
        {"luma_covered_s": 0.1},
        {"throttled": 0},
        {"viewers": 1},
        {"passes": True},
        {"engaged": 2},
        {"content": {"a": 3}},
        {"content": []},
        {"unheard_of": 1},
    ],
)
def test_a_damaged_state_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_plain({**to_plain(full()), **damage})
