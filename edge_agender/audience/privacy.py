"""The last gate before a message: what the configured level does not release is not made.

At `aggregate` a figure that fewer than `min_cell` persons stand behind would tell how long one of them stayed or
looked: then a window holds counts only. Who the viewers were is rounded in rounding.py, at every level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edge_agender.audience.measures import Attention, ContentWindow, FrameView, Stays, Viewer, Visit, Window
from edge_agender.audience.spans import Closed
from edge_agender.audience.tally import NO_CONTENT, ContentTally, Tally
from edge_agender.config.settings import PrivacyConfig

_MINUTE_S = 60


def fewest(privacy: PrivacyConfig) -> int:
    """Return how many persons must stand behind a figure of a window that is no count."""
    return privacy.min_cell if privacy.level == "aggregate" else 1


class Gate:
    """Releases what the level allows: aggregate (sums of many), frame (and frames), viewer (and single persons)."""

    def __init__(self, privacy: PrivacyConfig) -> None:
        self.releases_frames = privacy.level in ("frame", "viewer")
        self.releases_viewers = privacy.level == "viewer"
        # Frames show how long somebody is in view: to withhold it in windows would protect nobody.
        self._fewest = fewest(privacy)

    def is_as_open_as(self, before: Gate) -> bool:
        """Return whether this gate would release of a window all that another one has released."""
        return self._fewest <= before._fewest

    def frame(self, view: FrameView) -> FrameView | None:
        """Return what is released of a frame; None where nothing is."""
        if not self.releases_frames:
            return None
        return view if self.releases_viewers else replace(view, people=None)

    def viewer(self, visit: Visit) -> Viewer | None:
        """Return what is released of a visit: None of a mere passer-by, and below level `viewer`."""
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

    def window(self, closed: Closed[Tally]) -> Window:
        """Return what is released of a window."""
        tally = closed.tally
        # Whoever came at a stricter level stays withheld in the window that was open when it was changed.
        fewest = max(self._fewest, tally.fewest)
        enough = tally.viewers >= fewest or not tally.viewers
        looks = tally.attention_viewers >= fewest or not tally.attention_viewers
        return Window(
            number=tally.number,
            start_utc_s=closed.start_utc_s,
            length_s=closed.length_s,
            historical=closed.historical,
            covered_s=min(tally.covered_s, closed.length_s),  # a clock set back covers a time twice
            opportunities_to_see=tally.passes,
            viewers=tally.viewers,
            dwell=_stays(tally, fewest) if enough else None,
            attention=_attention(tally) if enough and looks else None,
            mean_count=_mean_count(tally, fewest),
            peak_count=tally.peak_count,
            content=tuple(_contents(tally.content, fewest, enough=enough, looks=enough and looks)),
            light=_mean(tally.luma_s, tally.luma_covered_s),
            throttled=tally.throttled,
        )


def _stays(tally: Tally, fewest: int) -> Stays:
    """Return how long the viewers stayed: a class of few would be as small a cell as one of the demographics."""
    whole = all(viewers == 0 or viewers >= fewest for viewers in tally.histogram)
    return Stays(tally.dwell_s, tuple(tally.histogram) if whole else None)


def _mean_count(tally: Tally, fewest: int) -> float | None:
    """Persons in view on average; by the seconds covered, it would tell how long a single one was there."""
    # Seconds without anybody are those before somebody in the first frame of the next window.
    if (tally.present or tally.count_s) and max(tally.present, 1) < fewest:
        return None
    return _mean(tally.count_s, tally.covered_s)


def _contents(content: Mapping[str, ContentTally], fewest: int, *, enough: bool, looks: bool) -> list[ContentWindow]:
    """Return each content's figures; those of too few viewers together as one, with what had no content."""
    if fewest == 1:
        return [_content(id_, shown, looks=looks) for id_, shown in content.items() if id_ != NO_CONTENT]
    told = {id_: shown for id_, shown in content.items() if id_ != NO_CONTENT and shown.viewers >= fewest}
    rest = {id_: shown for id_, shown in content.items() if id_ not in told}
    # What remains of the window's sums follows by subtraction: enough viewers must stand behind that too.
    while told and 0 < max((shown.viewers for shown in rest.values()), default=0) < fewest:
        least = min(told, key=lambda id_: (told[id_].viewers, id_))
        rest[least] = told.pop(least)
    merged = [_merged(list(rest.values()), enough=enough, looks=looks)] if rest.keys() - {NO_CONTENT} else []
    return [*(_content(id_, shown, looks=looks) for id_, shown in told.items()), *merged]


def _content(id_: str, shown: ContentTally, *, looks: bool) -> ContentWindow:
    return ContentWindow(id_, shown.shown_s, shown.viewers, shown.dwell_s, shown.attention_s if looks else None)


def _merged(parts: list[ContentTally], *, enough: bool, looks: bool) -> ContentWindow:
    """One may have seen several of them: how many viewers they had together is not known."""
    dwell_s, attention_s = sum(part.dwell_s for part in parts), sum(part.attention_s for part in parts)
    shown_s = sum(part.shown_s for part in parts)
    return ContentWindow(None, shown_s, None, dwell_s if enough else None, attention_s if looks else None)


def _attention(tally: Tally) -> Attention:
    return Attention(tally.attention_viewers, tally.engaged, tally.attention_s, tally.glances)


def _mean(total: float, seconds: float) -> float | None:
    return total / seconds if seconds > 0 else None
