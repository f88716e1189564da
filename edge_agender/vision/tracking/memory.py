"""Who was lost a moment ago, and whether a newcomer is one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_agender.vision.tracking.assignment import assign
from edge_agender.vision.tracking.exits import Exits
from edge_agender.vision.tracking.reassociation import same_looks, same_person
from edge_agender.vision.tracking.track import WORST_COST, Track, spot

# A newcomer whose place may be that of somebody remembered waits so long at most for an estimate to decide it.
DECIDE_S = 0.5
# One estimate decides where the log likelihood ratio is so far from 0, else so many are waited for, for so long at most
# (a sequential test: Wald 1945).
SURE, ENOUGH, LATEST_S = 2.0, 4, 1.2
# Two who were in view at once for longer are two persons; where the camera trembles, a lost track has taken the last
# detections of somebody else or of nobody.
AT_ONCE_S = 0.5
# Log likelihood ratio of the place below which no estimate makes two the same.
HOPELESS = -4.0


class Memory:
    """Remembers places of lost tracks for `rejoin_s`: place, size and estimate, no descriptor of the face."""

    def __init__(self, rejoin_s: float) -> None:
        self._rejoin_s = rejoin_s
        self.tracks: list[Track] = []
        self.exits = Exits(rejoin_s)

    def reset(self) -> None:
        """Remember nobody."""
        self.tracks = []

    def take_over(self, before: Memory) -> None:
        """Go on with whom another configuration remembers."""
        self.tracks = before.tracks
        self.exits.take_over(before.exits)

    def keep(self, lost: Sequence[Track], now_s: float) -> None:
        """Take in who is lost now; let go of whoever has been for too long."""
        for track in lost:
            track.lost_s = now_s
        self.tracks = [track for track in (*self.tracks, *lost) if now_s - track.lost_s <= self._rejoin_s]

    def recognise(
        self, tracks: Sequence[Track], fresh: Sequence[Track], hidden: Sequence[Track], now_s: float
    ) -> list[Track]:
        """Decide of `fresh` tracks whether each is somebody lost; return `tracks` with the lost one in its place.

        `hidden` are tracks that are still carried on. A doubtful one stays undecided until it has an estimate.
        """
        lost = [*hidden, *self.tracks]
        left = [None if math.isinf(old.lost_s) else self.exits.by(old.last_place) for old in lost]
        places = {track.id: [self._place_ratio(*old, track) for old in zip(lost, left, strict=True)] for track in fresh}
        ratios = {track.id: _with_looks(places[track.id], lost, track) for track in fresh}
        ready = [track for track in fresh if not _doubtful(track, places[track.id], ratios[track.id], now_s)]
        costs = [[-ratio for ratio in ratios[track.id]] for track in ready]
        for track in ready:
            self._learn(lost, left, ratios[track.id], track)
        again = {ready[row].id: lost[column] for row, column in assign(costs, 0.0)}
        for track in ready:
            # One detection that turned out to be nobody's is not yet a person.
            track.decided = not track.rest or track.hits > 1
            track.claims, track.rest = {}, False
            if track.id in again:
                again[track.id].resume(track)
                again[track.id].settled_s = now_s
        found = {old.id for old in again.values()}
        self.tracks = [old for old in self.tracks if old.id not in found]
        return [again.get(track.id, track) for track in tracks if track.id not in found]

    def _place_ratio(self, lost: Track, left: int | None, found: Track) -> float:
        if left is None or lost.id in found.claims or _seen_together(lost, found):
            return _place_ratio(lost, found)
        return self.exits.ratio(lost, found, left)

    def _learn(self, lost: Sequence[Track], left: Sequence[int | None], ratios: Sequence[float], found: Track) -> None:
        """Learn from a newcomer how often who left by an edge comes back: from the likeliest one."""
        gone = [
            (ratio, old, axis)
            for ratio, old, axis in zip(ratios, lost, left, strict=True)
            if axis is not None and not _seen_together(old, found)
        ]
        if gone and not found.rest:
            _, old, axis = max(gone, key=lambda each: each[0])
            self.exits.learn(old, found, axis)


def _place_ratio(lost: Track, found: Track) -> float:
    """Return the log likelihood ratio of their places: by where it was lost, or by where it has been carried on to."""
    claim = found.claims.get(lost.id, -math.inf)
    if (found.rest and lost.id in found.claims) or _seen_together(lost, found):
        return claim
    ratio = max(claim, same_person(lost.last_place, found.last_place, found.first_seen_s - lost.last_seen_s))
    if math.isinf(lost.lost_s):
        return max(ratio, (WORST_COST - lost.cost(spot(found.found))) / 2)
    return ratio


def _seen_together(lost: Track, found: Track) -> bool:
    """True where both were in view at once: a newcomer may have been there for long before it was sure to be a face."""
    return found.first_seen_s < lost.last_seen_s - AT_ONCE_S


def _with_looks(places: Sequence[float], lost: Sequence[Track], found: Track) -> list[float]:
    return [at + same_looks(old.looks, found.looks) for at, old in zip(places, lost, strict=True)]


def _doubtful(track: Track, places: Sequence[float], ratios: Sequence[float], now_s: float) -> bool:
    """True where another estimate may tell whether it is somebody lost."""
    age_s = now_s - track.first_seen_s
    if not track.seen or max(places, default=-math.inf) <= HOPELESS or age_s > LATEST_S:
        return False
    if track.estimates == 0:
        return age_s <= DECIDE_S
    return abs(max(ratios)) < SURE and track.estimates < ENOUGH
