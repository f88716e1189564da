"""The last gate before a message: what the configured level does not release is not made, and small cells are not told.

Cells of a window below `min_cell` could point at somebody who is known to have been there. They are left out, and so
is, where that would not be enough, one more: see `protect`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edge_agender.audience.demography import GENDERS, AgeBands
from edge_agender.audience.measures import Cell, ContentWindow, Demographics, FrameView, Gender, Viewer, Visit, Window
from edge_agender.audience.tally import ContentTally, Tally
from edge_agender.audience.windows import ClosedWindow
from edge_agender.config.settings import PrivacyConfig, WindowConfig

CellKey = tuple[Gender, str]

_MINUTE_S = 60


class Gate:
    """Releases what the privacy level allows: aggregate (windows), frame (and frames), viewer (and exit events)."""

    def __init__(self, privacy: PrivacyConfig, window: WindowConfig, bands: AgeBands) -> None:
        self._min_cell = privacy.min_cell
        self._by_content = window.demographics == "content"
        self._cells: set[CellKey] = {(gender, band) for gender in GENDERS for band in bands.labels}
        self.releases_frames = privacy.level in ("frame", "viewer")
        self.releases_viewers = privacy.level == "viewer"

    def frame(self, view: FrameView) -> FrameView | None:
        return view if self.releases_frames else None

    def viewer(self, visit: Visit) -> Viewer | None:
        """Return what may be told of a visit: None of a mere passer-by, and below level `viewer`."""
        if not (self.releases_viewers and visit.is_viewer):
            return None
        return Viewer(
            start_utc_s=visit.first_utc_s // _MINUTE_S * _MINUTE_S,
            dwell_s=visit.dwell_s,
            attention_s=visit.attention_s,
            glances=visit.glances,
            person=visit.person,
            distance=visit.distance,
            content=visit.content,
        )

    def window(self, closed: ClosedWindow) -> Window:
        tally = closed.tally
        return Window(
            number=tally.number,
            start_utc_s=closed.start_utc_s,
            length_s=closed.length_s,
            historical=closed.historical,
            covered_s=tally.covered_s,
            opportunities_to_see=tally.passes,
            viewers=tally.viewers,
            dwell_total_s=tally.dwell_s,
            dwell_histogram=tuple(tally.histogram),
            attention_viewers=tally.attention_viewers,
            attention_total_s=tally.attention_s,
            glances=tally.glances,
            mean_count=_mean(tally.count_s, tally.covered_s),
            peak_count=tally.peak_count,
            # One or the other: the difference of two tables of the same people could give a cell back.
            demographics=None if self._by_content else self._demographics(tally),
            content=tuple(self._content(id_, shown) for id_, shown in tally.content.items()),
            light=_mean(tally.luma_s, tally.luma_covered_s),
            throttled=tally.throttled,
        )

    def _content(self, id_: str, shown: ContentTally) -> ContentWindow:
        return ContentWindow(
            id=id_,
            shown_s=shown.shown_s,
            mean_count=_mean(shown.count_s, shown.shown_s),
            viewers=shown.viewers,
            dwell_s=shown.dwell_s,
            attention_s=shown.attention_s,
            demographics=self._demographics(shown) if self._by_content else None,
        )

    def _demographics(self, counted: Tally | ContentTally) -> Demographics:
        # Another set of bands may have been configured while the window was open: then it holds cells of both.
        told = protect(counted.cells, self._min_cell, len(self._cells | counted.cells.keys()))
        cells = tuple(Cell(gender, band, counted.cells[gender, band]) for gender, band in sorted(told))
        return Demographics(self._min_cell, cells, counted.cells.total() - sum(cell.viewers for cell in cells))


def protect(cells: Mapping[CellKey, int], min_cell: int, all_cells: int) -> Collection[CellKey]:
    """Return the cells that may be told beside the total of all of them.

    A cell of 1 to min_cell - 1 persons must not follow from what is told, even for somebody who knows this rule.
    Cells of at least `min_cell` are told; what the others sum to is known, since the total is. That gives them away
    where only one is left, or where all that are left must be as large as they can be. Then the smallest told cells
    join them, all that are equally small: no order of cells decides, so the values of the hidden ones may be swapped
    at will. `all_cells` counts the empty ones too.
    """
    told = {cell: count for cell, count in cells.items() if count >= min_cell}
    total, hidden = sum(cells.values()), all_cells - len(told)
    rest = total - sum(told.values())
    if total == all_cells * (min_cell - 1):
        # Were every cell one below the limit, no large one could hide them: so nothing is ever told of this total.
        return ()
    if told and rest and (hidden == 1 or rest == hidden * (min_cell - 1)):
        least = min(told.values())
        return [cell for cell, count in told.items() if count > least]
    return told


def _mean(total: float, seconds: float) -> float | None:
    return total / seconds if seconds > 0 else None
