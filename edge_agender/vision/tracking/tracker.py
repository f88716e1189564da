"""Detections -> persons: a filter a face predicts where it is next, and the nearest detection continues it.

After SORT (Bewley et al. 2016), with two changes for faces before a sign: all durations are seconds, so the rate of
frames may vary from 5 to 30 a second or pause, and pairs are judged by distance in standard deviations instead of
overlap, because a face that walks by moves further than its own width between two frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_agender.config.audience import TrackingConfig
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection, Estimate, Face
from edge_agender.vision.head_pose import HeadPose, head_pose
from edge_agender.vision.tracking.assignment import assign
from edge_agender.vision.tracking.evidence import Evidence
from edge_agender.vision.tracking.kalman import ConstantRate

# In parts of the face's size, so that near and far faces behave alike.
CENTRE_SD = 0.08
SIZE_LOG_SD = 0.12
START_RATE_SD = 4.0
START_SIZE_RATE_SD = 0.5
RATE_NOISE = 3.5
SIZE_RATE_NOISE = 0.3
ASPECT_FOLLOWS = 0.3
# How likely a face is somebody new, a square face size and unit of log size: a detection less likely than this under
# every track begins one. Swept on the simulator of tests/: half or twice as much changes little.
NEW_FACE_DENSITY = 0.1
WORST_COST = -2 * math.log(NEW_FACE_DENSITY)
# Squared distance along one axis at which no pair can be that likely, however sure the track is of its place.
HOPELESS2 = WORST_COST - math.log(CENTRE_SD**4 * SIZE_LOG_SD**2)

# Without a frame for so long, whoever comes is somebody new; a growing size carried on for hours is no number any more.
PAUSE_S = 60.0

# Centre, log size, variance of a measured centre, and twice the log area: of a detection, for every track.
_Place = tuple[float, float, float, float, float]


class Track:
    """One person, as long as the tracker holds on to it.

    Changed by Tracker only, save through add_estimate and `frontal`. `found` and `landmarks` are the latest
    detection's own: crop there; `box` is smoother.
    """

    __slots__ = (
        "_aspect", "_evidence", "_log_size", "_x", "_y", "best_score", "first_seen_s", "found", "frontal", "hits", "id",
        "landmarks", "last_seen_s", "misses", "pose", "score", "unseen_s",
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
        self.landmarks = detection.landmarks
        self.score, self.hits, self.misses = detection.score, 1, 0
        self.best_score = detection.score
        self.first_seen_s = self.last_seen_s = now_s
        self.unseen_s = 0.0
        self.frontal: float | None = None
        self.pose = _pose(detection)

    @property
    def size_px(self) -> float:
        """Geometric mean of the filtered box's sides."""
        return math.exp(self._log_size.value)

    @property
    def box(self) -> Box:
        """The filtered box; after misses, the predicted one."""
        half, stretch = self.size_px / 2, math.exp(self._aspect / 2)
        half_width, half_height = half * stretch, half / stretch
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

    @property
    def estimates(self) -> int:
        """How many crops of it have been estimated."""
        return self._evidence.count

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
            pose=self.pose,
        )

    def _predict(self, dt_s: float) -> None:
        noise = (RATE_NOISE * self.size_px) ** 2
        self._x.predict(dt_s, noise)
        self._y.predict(dt_s, noise)
        self._log_size.predict(dt_s, SIZE_RATE_NOISE**2)

    def _cost(self, place: _Place) -> float:
        """Return -2 log likelihood of a detection there, short of a constant, in units of its size.

        The likelihood, not the bare distance: a track that was lost for a while is vague about where it is, so nothing
        is far from it, and it would take detections from a track that knows.
        """
        x, y, log_size, variance, log_area2 = place
        spread_x, offset_x = self._x.spread(variance), x - self._x.value
        distance2 = offset_x * offset_x / spread_x
        if distance2 > HOPELESS2:
            return math.inf
        spread_y, offset_y = self._y.spread(variance), y - self._y.value
        spread_size, offset_size = self._log_size.spread(SIZE_LOG_SD**2), log_size - self._log_size.value
        distance2 += offset_y * offset_y / spread_y + offset_size * offset_size / spread_size
        return distance2 + math.log(spread_x * spread_y * spread_size) - log_area2

    def _hit(self, detection: Detection, now_s: float) -> None:
        box = detection.box
        size = _size(box)
        variance = (CENTRE_SD * size) ** 2
        x, y = box.centre
        self._x.update(x, variance)
        self._y.update(y, variance)
        self._log_size.update(math.log(size), SIZE_LOG_SD**2)
        self._aspect += ASPECT_FOLLOWS * (math.log(box.width / box.height) - self._aspect)
        self.found, self.landmarks = box, detection.landmarks
        self.score, self.last_seen_s = detection.score, now_s
        self.best_score = max(self.best_score, detection.score)
        self.pose = _pose(detection)
        self.hits += 1
        self.misses, self.unseen_s = 0, 0.0

    def _miss(self, dt_s: float) -> None:
        self.misses += 1
        self.unseen_s += dt_s
        self.frontal = self.pose = None


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
        return [track for track in self._tracks if self._confirmed(track)]

    @property
    def unsure(self) -> list[Track]:
        """Every track that is not confirmed yet."""
        return [track for track in self._tracks if not self._confirmed(track)]

    @property
    def people(self) -> bool:
        """True while anything is followed, confirmed or not."""
        return bool(self._tracks)

    def reset(self) -> None:
        """Let everybody go: what comes is seen for the first time."""
        self._tracks = []

    def take_over(self, before: Tracker) -> None:
        """Go on with the tracks of another configuration, under the same numbers."""
        self._tracks, self._next_id = before._tracks, before._next_id
        self._predicted_s, self._searched_s = before._predicted_s, before._searched_s

    def predict(self, now_s: float) -> list[Track]:
        """Move every track to `now_s` without a search: a skipped frame is no evidence of absence."""
        dt_s = now_s - self._predicted_s
        if dt_s > PAUSE_S:
            self.reset()
        if dt_s > 0:
            for track in self._tracks:
                track._predict(dt_s)
            self._predicted_s = now_s
        return self.tracks

    def update(self, detections: Sequence[Detection], now_s: float) -> list[Track]:
        """Take in what a search of the frame at `now_s` found; return the confirmed tracks that are still held."""
        self.predict(now_s)
        found = [d for d in detections if d.box.width > 0 and d.box.height > 0]
        places = [_place(d.box) for d in found]
        pairs = assign([[track._cost(place) for place in places] for track in self._tracks], WORST_COST)
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

    def _confirmed(self, track: Track) -> bool:
        # One sure detection vouches for the doubtful ones before it: who comes nearer was there from the start, while
        # the back of a head stays doubtful for as long as it is in view.
        return track.hits >= self._config.min_hits and track.best_score >= self._config.confirm_score

    def _keeps(self, track: Track) -> bool:
        seen_often = track.hits >= self._config.min_hits
        limit_s = self._config.max_gap_s if seen_often else self._config.max_gap_unconfirmed_s
        # One miss is never enough: searches may be further apart than the limit.
        return track.misses < 2 or track.unseen_s <= limit_s

    def _begin(self, unmatched: Sequence[Detection], now_s: float) -> None:
        for detection in sorted(unmatched, key=lambda detection: -detection.score):
            centre = detection.box.centre
            # A second box of a face that has one is what the detector's own suppression of such boxes left over.
            another = any(track.seen and _inside(centre, track.found) for track in self._tracks)
            if detection.score >= self._config.start_score and not another:
                self._tracks.append(Track(self._next_id, detection, now_s))
                self._next_id += 1


def _place(box: Box) -> _Place:
    size = _size(box)
    return *box.centre, math.log(size), (CENTRE_SD * size) ** 2, 4 * math.log(size)


def _inside(point: tuple[float, float], box: Box) -> bool:
    return box.x1 <= point[0] < box.x2 and box.y1 <= point[1] < box.y2


def _pose(detection: Detection) -> HeadPose | None:
    return head_pose(detection.landmarks) if detection.landmarks is not None else None


def _size(box: Box) -> float:
    return math.sqrt(box.width * box.height)
