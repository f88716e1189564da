"""Who was lost a moment ago, and whether a newcomer is one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_agender.vision.tracking.assignment import assign
from edge_agender.vision.tracking.reassociation import same_looks, same_person
from edge_agender.vision.tracking.track import WORST_COST, Track, spot

# A newcomer whose place may be that of somebody remembered waits so long at most for an estimate to decide it.
DECIDE_S = 0.5
# Log likelihood ratio of the place below which no estimate makes two the same.
HOPELESS = -4.0


class Memory:
    """Remembers places of lost tracks for `rejoin_s`: place, size and estimate, no descriptor of the face."""

    def __init__(self, rejoin_s: float) -> None:
        self._rejoin_s = rejoin_s
        self.tracks: list[Track] = []

    def reset(self) -> None:
        """Remember nobody."""
        self.tracks = []

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
        likely = {track.id: [_place_ratio(old, track) for old in lost] for track in fresh}
        ready = [track for track in fresh if not _doubtful(track, likely[track.id], now_s)]
        costs = [
            [-at - same_looks(old.estimate, track.estimate) for at, old in zip(likely[track.id], lost, strict=True)]
            for track in ready
        ]
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


def _place_ratio(lost: Track, found: Track) -> float:
    """Return the log likelihood ratio of their places: by where it was lost, or by where it has been carried on to."""
    claim = found.claims.get(lost.id, -math.inf)
    if found.rest and lost.id in found.claims:
        return claim
    ratio = max(claim, same_person(lost.last_place, found.last_place, found.first_seen_s - lost.last_seen_s))
    if math.isinf(lost.lost_s):
        return max(ratio, (WORST_COST - lost.cost(spot(found.found))) / 2)
    return ratio


def _doubtful(track: Track, places: Sequence[float], now_s: float) -> bool:
    waits = track.estimates == 0 and now_s - track.first_seen_s <= DECIDE_S
    return waits and max(places, default=-math.inf) > HOPELESS
