"""Detections -> persons: a filter a face predicts where it is next, and the nearest detection continues it.

After SORT (Bewley et al. 2016), with two changes for faces before a sign: all durations are seconds, so the rate of
frames may vary from 5 to 30 a second or pause, and pairs are judged by distance in standard deviations instead of
overlap, because a face that walks by moves further than its own width between two frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_agender.assignment import assign
from edge_agender.evidence import Evidence
from edge_agender.kalman import ConstantRate
from edge_agender.records import Box, Detection, Estimate, Face
from edge_agender.settings import TrackingConfig

# In parts of the face's size, so that near and far faces behave alike.
CENTRE_SD = 0.08
SIZE_LOG_SD = 0.12
START_RATE_SD = 3.0
START_SIZE_RATE_SD = 0.5
RATE_NOISE = 2.0
SIZE_RATE_NOISE = 0.3
ASPECT_FOLLOWS = 0.3


class Track:
    """One person, as long as the tracker holds on to it.

    Changed by Tracker only, save through add_estimate and `frontal`. `found` is the latest detection's own box:
    crop there; `box` is smoother.
    """

    __slots__ = (
        "_aspect", "_evidence", "_log_size", "_x", "_y", "first_seen_s", "found", "frontal", "hits", "id",
        "last_seen_s", "misses", "score", "unseen_s",
    )  # fmt: skip

    def __init__(self, track_id: int, detection: Detection, now_s: float) -> None:
        box = detection.box
        size, self._aspect = _size(box), math.log(box.width / box.height)
        x, y = box.centre
        self._x = ConstantRate(x, (CENTRE_SD * size) ** 2, (START_RATE_SD * size) ** 2)
        self._y = ConstantRate(y, (CENTRE_SD * size) ** 2, (START_RATE_SD * size) ** 2)
        self._log_size = ConstantRate(math.log(size), SIZE_LOG_SD**2, START_SIZE_RATE_SD**2)
        self._evidence = Evidence()
        self.id = track_id
        self.found: Box = box
        self.score, self.hits, self.misses = detection.score, 1, 0
        self.first_seen_s = self.last_seen_s = now_s
        self.unseen_s = 0.0
        self.frontal: float | None = None

    @property
    def size_px(self) -> float:
        """Geometric mean of the filtered box's sides."""
        return math.exp(self._log_size.value)

    @property
    def box(self) -> Box:
        """The filtered box; after misses, the predicted one."""
        half_width, half_height = (self.size_px * math.exp(sign * self._aspect / 2) / 2 for sign in (1, -1))
        x, y = self._x.value, self._y.value
        return Box(x - half_width, y - half_height, x + half_width, y + half_height)

    @property
    def seen(self) -> bool:
        """True where the latest search found it."""
        return self.misses == 0

    @property
    def estimate(self) -> Estimate | None:
        return self._evidence.estimate

    def needs_estimate(self, quality: float) -> bool:
        """True where an estimate of the crop just seen, of the given quality (0..1), would lower the uncertainty."""
        return self.seen and self._evidence.wants(quality, self.last_seen_s)

    def add_estimate(self, estimate: Estimate, quality: float) -> None:
        """Take the estimate of the crop just seen into the running one, weighted by its quality (0..1)."""
        self._evidence.add(estimate, quality, self.last_seen_s)

    def face(self) -> Face:
        """Return what is known now as an immutable value."""
        return Face(
            track_id=self.id,
            box=self.box,
            score=self.score,
            estimate=self.estimate,
            first_seen_s=self.first_seen_s,
            hits=self.hits,
            last_seen_s=self.last_seen_s,
            frontal=self.frontal,
        )

    def _predict(self, dt_s: float) -> None:
        noise = (RATE_NOISE * self.size_px) ** 2
        self._x.predict(dt_s, noise)
        self._y.predict(dt_s, noise)
        self._log_size.predict(dt_s, SIZE_RATE_NOISE**2)

    def _distance2(self, centre: tuple[float, float], log_size: float) -> float:
        variance = (CENTRE_SD * math.exp(log_size)) ** 2
        near = self._x.distance2(centre[0], variance) + self._y.distance2(centre[1], variance)
        return near + self._log_size.distance2(log_size, SIZE_LOG_SD**2)

    def _hit(self, detection: Detection, now_s: float) -> None:
        box = detection.box
        size = _size(box)
        variance = (CENTRE_SD * size) ** 2
        x, y = box.centre
        self._x.update(x, variance)
        self._y.update(y, variance)
        self._log_size.update(math.log(size), SIZE_LOG_SD**2)
        self._aspect += ASPECT_FOLLOWS * (math.log(box.width / box.height) - self._aspect)
        self.found, self.score, self.last_seen_s = box, detection.score, now_s
        self.hits += 1
        self.misses, self.unseen_s = 0, 0.0

    def _miss(self, dt_s: float) -> None:
        self.misses += 1
        self.unseen_s += dt_s
        self.frontal = None


class Tracker:
    """Follows faces over frames. Not for several threads; `now_s` must not run backwards."""

    def __init__(self, config: TrackingConfig) -> None:
        self._config = config
        self._tracks: list[Track] = []
        self._next_id = 1
        self._predicted_s = self._searched_s = float("-inf")

    @property
    def tracks(self) -> list[Track]:
        """Every confirmed track that is still held, the ones just seen and the ones carried on."""
        return [track for track in self._tracks if track.hits >= self._config.min_hits]

    @property
    def people(self) -> bool:
        """True while anything is followed, confirmed or not."""
        return bool(self._tracks)

    def predict(self, now_s: float) -> list[Track]:
        """Move every track to `now_s` without a search: a frame passed over is no evidence of absence."""
        dt_s = now_s - self._predicted_s
        if dt_s > 0:
            for track in self._tracks:
                track._predict(dt_s)
            self._predicted_s = now_s
        return self.tracks

    def update(self, detections: Sequence[Detection], now_s: float) -> list[Track]:
        """Take in what a search of the frame at `now_s` found; return the confirmed tracks that are still held."""
        self.predict(now_s)
        found = [d for d in detections if d.box.width > 0 and d.box.height > 0]
        places = [(d.box.centre, math.log(_size(d.box))) for d in found]
        costs = [[track._distance2(*place) for place in places] for track in self._tracks]
        pairs = assign(costs, self._config.max_distance_sd**2)
        for row, column in pairs:
            self._tracks[row]._hit(found[column], now_s)
        self._let_go({row for row, _ in pairs}, now_s)
        taken = {column for _, column in pairs}
        self._begin([d for column, d in enumerate(found) if column not in taken], now_s)
        self._searched_s = now_s
        return self.tracks

    def _let_go(self, matched: set[int], now_s: float) -> None:
        since_s = now_s - self._searched_s
        for row, track in enumerate(self._tracks):
            if row not in matched:
                track._miss(since_s)
        self._tracks = [track for track in self._tracks if self._keeps(track)]

    def _keeps(self, track: Track) -> bool:
        confirmed = track.hits >= self._config.min_hits
        limit_s = self._config.max_gap_s if confirmed else self._config.max_gap_unconfirmed_s
        # One miss is never enough: searches may be further apart than the limit.
        return track.misses < 2 or track.unseen_s <= limit_s

    def _begin(self, unmatched: Sequence[Detection], now_s: float) -> None:
        for detection in unmatched:
            if detection.score >= self._config.start_score:
                self._tracks.append(Track(self._next_id, detection, now_s))
                self._next_id += 1


def _size(box: Box) -> float:
    return math.sqrt(box.width * box.height)
