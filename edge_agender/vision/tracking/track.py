"""One person as the tracker knows it: a filter of place and size, and what was estimated."""

from __future__ import annotations

import math
from copy import copy

from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection, Estimate, Face
from edge_agender.vision.head_pose import HeadPose, head_pose
from edge_agender.vision.tracking.evidence import Evidence
from edge_agender.vision.tracking.kalman import ConstantRate
from edge_agender.vision.tracking.reassociation import Looks, Place

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

# Of a face that was missed twice: so much of the noise remains, and it slows down in about this time.
LOST_NOISE, SLOWS_IN_S = 0.3, 0.7

# Centre, log size, variance of a measured centre, and twice the log area: of a detection, for every track.
Spot = tuple[float, float, float, float, float]


class Track:
    """One person, as long as the tracker holds on to it.

    Changed by Tracker only, save through add_estimate and `frontal`. `found` and `landmarks` are the latest
    detection's own: crop there; `box` is smoother. `decided`: known to be somebody new, or somebody remembered.
    `lost_s`: when it was let go, infinite before. `first_place`, `last_place`: where it was first and last seen.
    `before`: what was known of it before a doubt, while there is one; `rest`: what was seen since, once that is split
    off. `claims`: by track, the log likelihood ratio of what begins a doubt or a newcomer. `settled_s`: when looks last
    told who it is.
    """

    __slots__ = (
        "_aspect", "_evidence", "_log_size", "_x", "_y", "before", "best_score", "claims", "decided", "doubt_s",
        "first_place", "first_seen_s", "found", "frontal", "hits", "id", "landmarks", "last_place", "last_seen_s",
        "lost_s", "misses", "pose", "rest", "score", "settled_s", "unseen_s",
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
        self.decided, self.lost_s = False, math.inf
        self.last_place = self.first_place = self.place
        self.before: Track | None = None
        self.claims: dict[int, float] = {}
        self.settled_s, self.rest = -math.inf, False

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
        """The running estimate; while in doubt, that of before."""
        return self.looks[0]

    @property
    def looks(self) -> Looks:
        """The running estimate, and how many crops it is of; while in doubt, those of before."""
        known = self._evidence if self.before is None else self.before._evidence
        return known.estimate, known.count

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
            hits=self.hits + (self.before.hits if self.before is not None else 0),
            last_seen_s=self.last_seen_s,
            frontal=self.frontal,
            pose=self.pose,
        )

    def move(self, dx_px: float, dy_px: float) -> None:
        """The picture moved: what is known of the place moves with it."""
        self._x.value += dx_px
        self._y.value += dy_px
        self.last_place, self.first_place = (
            place._replace(x=place.x + dx_px, y=place.y + dy_px) for place in (self.last_place, self.first_place)
        )
        if self.before is not None:
            self.before.move(dx_px, dy_px)

    def rescale(self, across: float, down: float) -> None:
        """The same is shown so many times as wide and as high."""
        self._x.scale(across)
        self._y.scale(down)
        larger = math.log(across * down) / 2
        self._log_size.value += larger
        self._aspect += math.log(across / down)
        box = self.found
        self.found, self.landmarks = Box(box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down), None
        self.last_place, self.first_place = (
            Place(x * across, y * down, log_size + larger, rate_x * across, rate_y * down)
            for x, y, log_size, rate_x, rate_y in (self.last_place, self.first_place)
        )
        if self.before is not None:
            self.before.rescale(across, down)

    def resume(self, later: Track) -> None:
        """Go on as another track, which is the same person found again."""
        self._x, self._y, self._log_size, self._aspect = later._x, later._y, later._log_size, later._aspect
        self._evidence.merge(later._evidence)
        self.found, self.landmarks, self.pose, self.frontal = later.found, later.landmarks, later.pose, later.frontal
        self.score, self.best_score = later.score, max(self.best_score, later.best_score)
        self.hits, self.misses, self.unseen_s = self.hits + later.hits, later.misses, later.unseen_s
        self.last_seen_s, self.last_place, self.lost_s = later.last_seen_s, later.last_place, math.inf

    def doubt(self, claims: dict[int, float], now_s: float) -> None:
        """The next detection may be of others just as well: keep what is known of this one apart from what follows.

        `claims`: the log likelihood ratio of the detection by track, this one among them.
        """
        if self.before is not None:
            self.claims = claims | self.claims
            return
        self.before, self.claims, self.doubt_s = copy(self), claims, now_s
        self._x, self._y, self._log_size = copy(self._x), copy(self._y), copy(self._log_size)
        self._evidence, self.hits = Evidence(), 0
        self.first_place = self.place

    def settle(self, now_s: float) -> None:
        """No longer in doubt: what was seen since is of this one."""
        before, self.before, self.claims, self.settled_s = self.before, None, {}, now_s
        if before is not None:
            self._evidence.merge(before._evidence)
            self.hits += before.hits
            self.first_place = before.first_place

    def split(self, track_id: int, now_s: float) -> Track | None:
        """Become what was seen since the doubt, undecided and with this number; return who it was before, unseen."""
        before, self.before = self.before, None
        if before is not None:
            self.id, self.decided, self.rest, self.first_seen_s = track_id, False, True, self.doubt_s
            before.predict(now_s - self.doubt_s)
            before.unseen_s += now_s - self.doubt_s
            before.misses += max(self.hits, 2)
            before.frontal = before.pose = None
        return before

    def predict(self, dt_s: float) -> None:
        """Move on without a detection."""
        noise = (RATE_NOISE * self.size_px) ** 2
        if self.misses > 1:
            # Nobody is seen to start or stop: who is hidden is most likely where it was, the longer the more so.
            noise *= LOST_NOISE
            self._x.slow(dt_s, SLOWS_IN_S)
            self._y.slow(dt_s, SLOWS_IN_S)
        self._x.predict(dt_s, noise)
        self._y.predict(dt_s, noise)
        self._log_size.predict(dt_s, SIZE_RATE_NOISE**2)

    def cost(self, place: Spot) -> float:
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

    def surprise(self, spot: Spot) -> float:
        """Return by how much the squared distance of a detection, px² along one axis, exceeds what is expected."""
        x, y, _, variance, _ = spot
        distance2 = (x - self._x.value) ** 2 + (y - self._y.value) ** 2
        return (distance2 - self._x.spread(variance) - self._y.spread(variance)) / 2

    def hit(self, detection: Detection, now_s: float, shake_px2: float = 0.0) -> None:
        """This detection continues it."""
        box = detection.box
        size = _size(box)
        variance = (CENTRE_SD * size) ** 2 + shake_px2
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
        self.last_place = self.place

    def miss(self, dt_s: float) -> None:
        """A search, `dt_s` after the one before, did not find it."""
        self.misses += 1
        self.unseen_s += dt_s
        self.frontal = self.pose = None

    @property
    def place(self) -> Place:
        """Where it is now, as far as is known."""
        return Place(self._x.value, self._y.value, self._log_size.value, self._x.rate, self._y.rate)


def place_of(spot: Spot) -> Place:
    """Return the place of a detection, which does not tell how it moves."""
    return Place(*spot[:3])


def spot(box: Box, shake_px2: float = 0.0) -> Spot:
    """Return a detection's place as Track.cost wants it, where the camera shakes with the given variance."""
    size = _size(box)
    return *box.centre, math.log(size), (CENTRE_SD * size) ** 2 + shake_px2, 4 * math.log(size)


def _pose(detection: Detection) -> HeadPose | None:
    return head_pose(detection.landmarks) if detection.landmarks is not None else None


def _size(box: Box) -> float:
    return math.sqrt(box.width * box.height)
