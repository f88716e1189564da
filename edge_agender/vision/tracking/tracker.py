"""Detections -> persons: a filter a face predicts where it is next, and the nearest detection continues it.

After SORT (Bewley et al. 2016), with two changes for faces before a sign: all durations are seconds, so the rate of
frames may vary from 5 to 30 a second or pause, and pairs are judged by distance in standard deviations instead of
overlap, because a face that walks by moves further than its own width between two frames.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agender.config.audience import TrackingConfig
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection, StillFace
from edge_agender.vision.tracking.assignment import Costs, assign
from edge_agender.vision.tracking.doubt import rivals
from edge_agender.vision.tracking.memory import DECIDE_S, Memory
from edge_agender.vision.tracking.pictures import Pictures
from edge_agender.vision.tracking.shake import LEAST_PEOPLE, Shake, knocked, movement
from edge_agender.vision.tracking.track import WORST_COST, Spot, Track, spot

# Without a frame for so long, whoever comes is somebody new; a growing size carried on for hours is no number any more.
PAUSE_S = 60.0
# Who was missed by this many searches and for so long is recognised by place and looks, not by place alone: among
# people who stand close together, a neighbour would be taken for somebody who has looked away.
FAR_MISSES, FAR_S = 3, 0.5
# Estimates that tell whom a doubtful detection was of.
ENOUGH = 2
# That everybody's places fit better by so much is asked of a movement of the camera, which is rare: -2 log likelihood.
MOVES_RARELY = 10.0


class Tracker:
    """Follows faces over frames. Not for several threads; `now_s` must not run backwards."""

    def __init__(self, config: TrackingConfig) -> None:
        self._config = config
        self._tracks: list[Track] = []
        self._memory = Memory(config.rejoin_s)
        self._pictures = Pictures(config.picture_after_s)
        self._shake = Shake()
        self._next_id = 1
        self._predicted_s = self._searched_s = float("-inf")

    @property
    def tracks(self) -> list[Track]:
        """Every person: just seen, carried on, or remembered."""
        return [track for track in self._tracks if track.decided] + self._memory.tracks

    @property
    def visible(self) -> list[Track]:
        """Those just seen whose looks count: every person, and newcomers who may be somebody remembered."""
        return [track for track in self._tracks if track.seen and self._confirmed(track)]

    @property
    def pictures(self) -> list[StillFace]:
        """Pictures of faces: no persons, and in no other list."""
        return self._pictures.known

    @property
    def unsure(self) -> list[Track]:
        """Every track that is not known to be a person yet."""
        return [track for track in self._tracks if not track.decided]

    @property
    def people(self) -> bool:
        """True while anything is followed, confirmed or not."""
        return bool(self._tracks)

    def reset(self) -> None:
        """Let everybody go: what comes is seen for the first time, and may have another clock."""
        self._tracks = []
        self._predicted_s = self._searched_s = float("-inf")
        self._memory.reset()
        self._pictures.reset()
        self._shake = Shake()

    def show(self, size_px: tuple[int, int]) -> None:
        """Pictures have this width and height from now on: who is lost at their edge has left."""
        self._memory.exits.picture_px = size_px

    def move(self, dx_px: float, dy_px: float) -> None:
        """The camera moved, and with it the whole picture, by so many pixels since the last search."""
        for track in (*self._tracks, *self._memory.tracks):
            track.move(dx_px, dy_px)
        self._pictures.move(dx_px, dy_px)

    def rescale(self, across: float, down: float) -> None:
        """Follow pictures of another size, which show the same: so many times as wide and as high."""
        for track in (*self._tracks, *self._memory.tracks):
            track.rescale(across, down)
        # Another size is another picture: which of it are pictures of faces shows anew.
        self._pictures.reset()

    def take_over(self, before: Tracker) -> None:
        """Go on with the tracks of another configuration, under the same numbers."""
        self._tracks, self._next_id = before._tracks, before._next_id
        self._memory.take_over(before._memory)
        self._pictures.take_over(before._pictures)
        self._predicted_s, self._searched_s = before._predicted_s, before._searched_s

    def predict(self, now_s: float) -> list[Track]:
        """Move every track to `now_s` without a search: a skipped frame is no evidence of absence."""
        dt_s = now_s - self._predicted_s
        if dt_s > PAUSE_S:
            self.reset()
        if dt_s > 0:
            for track in self._tracks:
                track.predict(dt_s)
            self._predicted_s = now_s
        return self.tracks

    def update(self, detections: Sequence[Detection], now_s: float) -> list[Track]:
        """Take in what a search of the frame at `now_s` found; return every person who is not gone."""
        self.predict(now_s)
        found = [d for d in detections if d.box.width > 0 and d.box.height > 0]
        found = self._pictures.others(found, now_s)
        spots = [spot(d.box, self._shake.px2) for d in found]
        near, pairs, costs = self._pair(spots)
        self._shake.learn(near, spots, pairs, now_s)
        for row, claims in rivals(near, self._apart(), pairs, costs, spots, now_s).items():
            near[row].doubt(claims, now_s)
        for row, column in pairs:
            near[row].hit(found[column], now_s, self._shake.px2)
        vanished = [track for track in near if track.seen and track.decided] if not pairs else []
        self._let_go({near[row].id for row, _ in pairs}, now_s)
        taken = {column for _, column in pairs}
        self._begin([d for column, d in enumerate(found) if column not in taken], vanished, now_s)
        self._searched_s = now_s
        self._recognise(now_s)
        still = self._pictures.recognise(self._tracks, self._memory.tracks, now_s)
        self._tracks = [track for track in self._tracks if track.id not in still]
        return self.tracks

    def _apart(self) -> list[Track]:
        """Who is found again by place and looks only: the remembered, and the doubtful as they were before."""
        before = [track.before for track in self._tracks if track.before is not None]
        return [*(track for track in self._tracks if _far(track)), *before, *self._memory.tracks]

    def _recognise(self, now_s: float) -> None:
        """Tell who the newcomers are, and whom the doubtful have turned out to be."""
        ready = any(
            track.estimates >= ENOUGH if track.before is not None else self._newcomer(track) and track.estimates
            for track in self._tracks
        )
        for track in list(self._tracks):
            if track.before is not None and (ready or not track.seen or now_s - track.doubt_s > DECIDE_S):
                self._split(track, now_s, ready)
        fresh = [track for track in self._tracks if track.rest or self._newcomer(track)]
        if fresh:
            hidden = [track for track in self._tracks if track.decided and track.misses > 1]
            self._tracks = self._memory.recognise(self._tracks, fresh, hidden, now_s)

    def _newcomer(self, track: Track) -> bool:
        return not track.decided and self._confirmed(track)

    def _split(self, track: Track, now_s: float, ready: bool) -> None:
        if track.estimates:
            before = track.split(self._next_id, now_s)
            self._next_id += 1
            self._tracks += [before] if before is not None else []
        elif not (ready and track.seen and now_s - track.doubt_s <= DECIDE_S):
            track.settle(now_s)

    def _pair(self, spots: Sequence[Spot]) -> tuple[list[Track], list[tuple[int, int]], Costs]:
        """Return tracks, and which of them each detection continues; where the camera moved, after moving them."""
        near = [track for track in self._tracks if not _far(track)]
        costs = [[track.cost(each) for each in spots] for track in near]
        pairs = assign(costs, WORST_COST)
        seen = [track for track in near if track.seen]
        if len(seen) >= LEAST_PEOPLE and len(pairs) < min(len(seen), len(spots)):
            moved = movement(seen, spots)
            if moved is not None:
                self.move(*moved)
                costs_after = [[track.cost(each) for each in spots] for track in near]
                after = assign(costs_after, WORST_COST)
                if len(after) > len(pairs) and _total(costs_after, after) + MOVES_RARELY < _total(costs, pairs):
                    return near, after, costs_after
                self.move(-moved[0], -moved[1])
        return near, pairs, costs

    def _let_go(self, matched: set[int], now_s: float) -> None:
        since_s = now_s - self._searched_s
        for track in self._tracks:
            if track.id not in matched:
                track.miss(since_s)
        self._memory.keep([track for track in self._tracks if track.decided and not self._keeps(track)], now_s)
        self._tracks = [track for track in self._tracks if self._keeps(track)]

    def _confirmed(self, track: Track) -> bool:
        # One sure detection vouches for the doubtful ones before it: who comes nearer was there from the start, while
        # the back of a head stays doubtful for as long as it is in view.
        seen_often = track.decided or track.hits >= self._config.min_hits
        return seen_often and track.best_score >= self._config.confirm_score

    def _keeps(self, track: Track) -> bool:
        seen_often = track.decided or track.hits >= self._config.min_hits
        limit_s = self._config.max_gap_s if seen_often else self._config.max_gap_unconfirmed_s
        # One miss is never enough: searches may be further apart than the limit.
        return track.misses < 2 or track.unseen_s <= limit_s

    def _begin(self, unmatched: Sequence[Detection], vanished: Sequence[Track], now_s: float) -> None:
        """Begin a track a detection; where nobody was found in place, it may be one of those, by a knocked camera."""
        for detection in sorted(unmatched, key=lambda detection: -detection.score):
            centre = detection.box.centre
            # A second box of a face that has one is what the detector's own suppression of such boxes left over.
            another = any(track.seen and _inside(centre, track.found) for track in self._tracks)
            if detection.score >= self._config.start_score and not another:
                newcomer = Track(self._next_id, detection, now_s)
                newcomer.claims = knocked(newcomer, vanished)
                self._tracks.append(newcomer)
                self._next_id += 1


def _total(costs: Costs, pairs: Sequence[tuple[int, int]]) -> float:
    return sum(costs[row][column] - WORST_COST for row, column in pairs)


def _far(track: Track) -> bool:
    return track.decided and track.misses >= FAR_MISSES and track.unseen_s > FAR_S


def _inside(point: tuple[float, float], box: Box) -> bool:
    return box.x1 <= point[0] < box.x2 and box.y1 <= point[1] < box.y2
