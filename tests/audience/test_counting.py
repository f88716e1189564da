from __future__ import annotations

import json

import pytest

from edge_agender.audience.counting import Audience, FrameCounter
from edge_agender.audience.measures import Content, Demographics
from edge_agender.audience.spans import Closed
from edge_agender.audience.tally import Tally
from edge_agender.config.audience import AudienceConfig, TrackingConfig
from edge_agender.config.settings import Config
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Estimate, Face
from edge_agender.vision.tracking.tracker import Tracker
from tests.support.simulator import Scene, Simulation
from tests.support.visits import NOON_S

CONFIG = AudienceConfig()


def face(last_s: float, track_id: int = 1) -> Face:
    return Face(track_id, Box(0, 0, 80, 100), 0.9, Estimate(34.0, 4.0, 0.95), 0.0, 5, last_s, 1.0)


def audience(length_s: int = 60, split: str = "none") -> Audience:
    demographics = {"period_s": 900, "split": split}
    return Audience(Config.model_validate({"window": {"length_s": length_s}, "demographics": demographics}))


def test_who_was_missed_for_a_moment_is_still_here() -> None:
    counter = FrameCounter(CONFIG)
    assert counter.view([face(1.0)], sequence=0, now_s=1.4, utc_s=NOON_S).count == 1
    assert counter.view([face(1.0)], sequence=0, now_s=1.6, utc_s=NOON_S).count == 0


def test_content_splits_windows_until_it_ends() -> None:
    book = audience()
    book.show(Content("a", NOON_S + 20))
    for step in range(1, 301):
        now_s = step / 10
        book.observe([face(now_s)], now_s=now_s, utc_s=NOON_S + now_s, focal_length_px=1000)
    book.close()
    tally = book.windows_due(NOON_S + 100)[0].tally
    assert set(tally.content) == {"a", ""}
    assert tally.content["a"].shown_s == pytest.approx(20, abs=0.3)
    assert tally.content["a"].dwell_s == pytest.approx(20, abs=0.3)
    assert (tally.viewers, tally.content["a"].viewers) == (1, 1)


def test_closing_ends_every_visit_once() -> None:
    book = audience()
    for step in range(1, 20):
        now_s = step / 10
        book.observe([face(now_s), face(now_s, 2)], now_s=now_s, utc_s=NOON_S + now_s, focal_length_px=1000)
    assert len(book.close()) == 2
    assert book.close() == []
    assert book.windows_due(NOON_S + 100)[0].tally.viewers == 2


class Hour:
    """An hour of traffic, its daemon restarted every few minutes: by turns stopped in order, and killed.

    With a split, contents take turns, and one of them is on at the end of nearly nobody's stay.
    """

    def __init__(self, fps: float = 4.0, split: str = "none") -> None:
        self._split = split
        self.scene = Scene(duration_s=3600, fps=fps, arrivals=0.1, miss=0.05, false_alarms=0.02, seed=5)
        self.viewers = self.passes = 0
        self.told: list[Closed[Tally]] = []
        self.periods: list[Demographics] = []
        self._restarts = 0
        self._start()
        self._saved = self._book.snapshot()

    def _start(self) -> None:
        self._tracker, self._book = Tracker(TrackingConfig()), audience(split=self._split)

    def run(self) -> None:
        for look in Simulation(self.scene).looks():
            tracks = self._tracker.update(look.detections, look.now_s)
            faces, utc_s = [t.face() for t in tracks], NOON_S + look.now_s
            self._book.show(Content("rare" if look.now_s % 300 < 5 else "ab"[int(look.now_s // 30) % 2]))
            self._note(self._book.observe(faces, now_s=look.now_s, utc_s=utc_s, focal_length_px=1000))
            self._tell(NOON_S + look.now_s)
            if look.now_s > 397 * (self._restarts + 1):
                self._restart()
        self._note(self._book.close())
        self._tell(NOON_S + 4500)

    def _note(self, visits) -> None:  # type: ignore[no-untyped-def]
        if visits:
            self.passes += sum(visit.is_pass for visit in visits)
            self.viewers += sum(visit.is_viewer for visit in visits)
            # As the service does: what is counted is on disk before it is told.
            self._saved = json.loads(json.dumps(self._book.snapshot()))

    def _tell(self, utc_s: float) -> None:
        told = self._book.windows_due(utc_s)
        periods = self._book.demographics_due(utc_s)
        if told or periods:
            self.told += told
            self.periods += periods
            self._saved = json.loads(json.dumps(self._book.snapshot()))

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts % 2:
            self._note(self._book.close())
        self._start()
        self._book.restore(self._saved, NOON_S)


def test_windows_add_up_to_the_viewers_over_an_hour_with_restarts() -> None:
    hour = Hour()
    hour.run()
    starts = [window.start_utc_s for window in hour.told]
    assert starts == sorted(set(starts))
    assert len(starts) == 60
    assert sum(window.tally.viewers for window in hour.told) == hour.viewers > 250
    assert sum(window.tally.passes for window in hour.told) == hour.passes
    assert all(sum(w.tally.histogram) == w.tally.viewers for w in hour.told)
    assert all(w.tally.covered_s <= 60 + 1e-6 for w in hour.told)
    assert sum(w.tally.covered_s for w in hour.told) > 3500


@pytest.mark.parametrize("split", ["none", "content"])
def test_demographics_add_up_to_the_viewers_over_an_hour_with_restarts(split: str) -> None:
    hour = Hour(split=split)
    hour.run()
    assert [period.start_utc_s - NOON_S for period in hour.periods] == [0, 900, 1800, 2700]
    brought = 0
    for period in hour.periods:
        windows = [w for w in hour.told if 0 <= w.start_utc_s - period.start_utc_s < 900]
        assert period.viewers == sum(w.tally.viewers for w in windows)
        assert period.brought_forward == brought
        assert sum(viewers for _, viewers, _ in period.cells) + period.withheld == period.viewers + brought
        assert {key.content for key, _, _ in period.cells} >= ({None} if split == "none" else {"a", "b"})
        brought = period.withheld
    published = sum(viewers for period in hour.periods for _, viewers, _ in period.cells)
    assert published + brought == hour.viewers > 250
