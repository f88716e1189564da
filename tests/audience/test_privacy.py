from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agender.audience.demography import GENDERS, AgeBands
from edge_agender.audience.measures import ContentShare, FrameView, Person
from edge_agender.audience.privacy import CellKey, Gate, protect
from edge_agender.audience.tally import Tally
from edge_agender.audience.windows import ClosedWindow
from edge_agender.config.settings import PrivacyConfig, WindowConfig
from tests.support.visits import NOON_S, visit

BANDS = AgeBands((18, 35, 55))
KEYS: list[CellKey] = [(gender, band) for gender in GENDERS for band in BANDS.labels]

Told = tuple[tuple[tuple[CellKey, int], ...], int]


def release(counts: tuple[int, ...], keys: list[CellKey], min_cell: int) -> Told:
    cells = {key: count for key, count in zip(keys, counts, strict=True) if count}
    told = protect(cells, min_cell, len(keys))
    return tuple(sorted((key, cells[key]) for key in told)), sum(counts)


@pytest.mark.parametrize(
    ("cells", "min_cell", "most"),
    [(2, 2, 6), (2, 5, 13), (3, 2, 6), (3, 3, 8), (3, 5, 9), (4, 2, 4), (4, 3, 5), (5, 2, 3)],
)
def test_who_knows_the_rule_and_tries_every_table_finds_no_small_cell(cells: int, min_cell: int, most: int) -> None:
    keys = KEYS[:cells]
    same: dict[Told, list[tuple[int, ...]]] = defaultdict(list)
    for counts in product(range(most + 1), repeat=cells):
        same[release(counts, keys, min_cell)].append(counts)
    for tables in same.values():
        for values in map(set, zip(*tables, strict=True)):
            assert len(values) > 1 or not 0 < next(iter(values)) < min_cell


tables = st.lists(st.integers(0, 12), min_size=len(KEYS), max_size=len(KEYS)).map(tuple)
sparse = st.lists(st.sampled_from([0, 0, 0, 0, 1, 4, 5, 7]), min_size=len(KEYS), max_size=len(KEYS)).map(tuple)


@settings(deadline=None)
@given(tables | sparse, st.integers(1, 8))
def test_every_small_cell_could_have_another_value(counts: tuple[int, ...], min_cell: int) -> None:
    """For each small cell, find another table that would be told the same: swap it, or shift one person."""
    told = release(counts, KEYS, min_cell)
    assert all(count >= min_cell for _, count in told[0])
    hidden = [i for i, key in enumerate(KEYS) if key not in dict(told[0])]
    for cell in (i for i in hidden if 0 < counts[i] < min_cell):
        others = list(counts), list(counts)
        swap = next((i for i in hidden if counts[i] != counts[cell]), None)
        if swap is not None:
            others[0][cell], others[0][swap] = counts[swap], counts[cell]
        for other in hidden:
            if other != cell and others[1][cell] == counts[cell]:
                others[1][cell] -= 1
                others[1][other] += 1
        assert any(table[cell] != counts[cell] and release(tuple(table), KEYS, min_cell) == told for table in others), (
            counts,
            cell,
        )


def test_only_large_cells_are_told() -> None:
    cells: dict[CellKey, int] = {("female", "18-34"): 9, ("male", "18-34"): 4, ("male", "55+"): 2}
    assert set(protect(cells, 5, len(KEYS))) == {("female", "18-34")}


def test_a_single_hidden_cell_takes_the_smallest_others_with_it() -> None:
    cells: dict[CellKey, int] = {("female", "0-17"): 9, ("male", "0-17"): 6, ("unknown", "0-17"): 2}
    assert set(protect(cells, 5, 3)) == {("female", "0-17")}
    assert set(protect({**cells, ("female", "0-17"): 6}, 5, 3)) == set()


def test_without_small_cells_all_are_told() -> None:
    cells: dict[CellKey, int] = {("female", "0-17"): 9, ("male", "0-17"): 6}
    assert set(protect(cells, 5, len(KEYS))) == set(cells)


def closed(*people: Person, content: str | None = None) -> ClosedWindow:
    tally = Tally()
    tally.watch(60, 1, 100, content)
    shares = (ContentShare(content, 3.0, 1.0),) if content else ()
    for somebody in people:
        tally.leave(visit(person=somebody, content=shares), BANDS)
    return ClosedWindow(NOON_S, 60, tally, False)


WOMEN = [Person(30.0, 5.0, "female", 0.9)] * 6
MEN = [Person(40.0, 5.0, "male", 0.9)] * 2


def test_a_window_tells_large_cells_and_the_sum_of_the_rest() -> None:
    window = Gate(PrivacyConfig(), WindowConfig(), BANDS).window(closed(*WOMEN, *MEN))
    assert window.demographics is not None
    assert [(cell.gender, cell.age_band, cell.viewers) for cell in window.demographics.cells] == [
        ("female", "18-34", 6)
    ]
    assert window.demographics.suppressed == 2
    assert window.viewers == 8
    assert window.dwell_histogram == (8, 0, 0, 0, 0)
    assert (window.mean_count, window.light, window.covered_s) == (1, 100, 60)


def test_tables_by_window_and_by_content_are_never_both_told() -> None:
    told = closed(*WOMEN, *MEN, content="a")
    by_window = Gate(PrivacyConfig(), WindowConfig(), BANDS).window(told)
    by_content = Gate(PrivacyConfig(), WindowConfig(demographics="content"), BANDS).window(told)
    assert by_window.content[0].demographics is None
    assert by_content.demographics is None
    assert by_content.content[0].demographics == by_window.demographics
    assert by_window.content[0].viewers == 8


def test_an_empty_window_has_no_means() -> None:
    window = Gate(PrivacyConfig(), WindowConfig(), BANDS).window(ClosedWindow(NOON_S, 60, Tally(), True))
    assert (window.mean_count, window.light, window.viewers, window.historical) == (None, None, 0, True)


@pytest.mark.parametrize(("level", "frames", "viewers"), [("aggregate", 0, 0), ("frame", 1, 0), ("viewer", 1, 1)])
def test_what_a_level_does_not_release_is_not_made(level: str, frames: int, viewers: int) -> None:
    gate = Gate(PrivacyConfig.model_validate({"level": level}), WindowConfig(), BANDS)
    view = FrameView(0, NOON_S, (), Counter(), Counter(), None)
    assert (gate.frame(view) is not None, gate.releases_frames) == (bool(frames), bool(frames))
    assert (gate.viewer(visit()) is not None, gate.releases_viewers) == (bool(viewers), bool(viewers))


def test_a_viewers_start_is_a_full_minute_and_a_passer_by_is_nobodys_business() -> None:
    gate = Gate(PrivacyConfig(level="viewer"), WindowConfig(), BANDS)
    viewer = gate.viewer(visit(119.0, 4.0))
    assert viewer is not None
    assert viewer.start_utc_s == NOON_S + 60
    assert gate.viewer(visit(is_viewer=False)) is None
