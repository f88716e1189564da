"""The running table: who has left and who is here are both in it, and one is not several."""

from __future__ import annotations

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.measures import Person
from edge_agender.audience.visits import Presence
from edge_agender.recordings.table import Here, RunningTable
from tests.support.visits import visit

WOMAN, UNSURE = Person(30.0, 5.0, "female", 0.9), Person(70.0, 5.0, "unknown", 0.55)


def table(*here: Here) -> RunningTable:
    filled = RunningTable(AgeBands((18, 65)))
    filled.add([visit(), visit(is_viewer=False)], here)
    return filled


def test_the_viewers_are_those_gone_and_those_here() -> None:
    counted = table(Here(UNSURE, Presence(True, 3.0, 1.0, True)), Here(WOMAN, Presence(None, 0.1, 0.0, False)))
    assert counted.sentence() == "2 here, 2 viewers so far: 1 female, 0 male, 1 unknown"
    assert counted.cells()["unknown"]["65+"] == 1
    sums = counted.as_dict()
    assert (sums["passed"], sums["viewers"], sums["mean_attention_s"]) == (4, 2, 1.5)


def test_one_viewer_is_no_viewers() -> None:
    assert table().result() == "1 viewer: 1 female, 0 male"
