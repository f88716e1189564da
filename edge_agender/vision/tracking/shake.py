"""How far the camera itself moved, from the faces alone: everybody who was there is found beside where they were.

No picture is compared with another one, so none has to be kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_agender.vision.tracking.track import Spot, Track

# Sizes of one face in two frames differ by no more, in log size.
ALIKE = 0.25
# Who may be somebody who vanished as it came, by size; and the log likelihood ratio of that, which looks must outweigh.
SURELY_ALIKE, KNOCKED = 0.2, -1.0
# Detections agree on a movement within this part of a face's size.
WITHIN = 0.35
# So many must agree, and so large a part of those who were seen a moment ago.
LEAST_PEOPLE, LEAST_PART = 2, 0.6
# Movements of so many tracks are tried: that none of them is among those who agree happens once in 240 times. All of a
# crowd would take time with the fourth power of its number.
MOST_TRIED = 6
# How strongly the camera trembles is learnt and forgotten in about this time.
LEARNT_IN_S = 0.7
# In parts of a face's size: people themselves are so much less even than the filter expects, and one wrong pair counts
# for so much at most.
UNEVEN, MOST = 0.05, 0.5
# A track's first hits say nothing: its filter expects any speed.
LEAST_HITS = 3


def movement(tracks: Sequence[Track], spots: Sequence[Spot]) -> tuple[float, float] | None:
    """Return by how many pixels the picture moved, None where no one movement brings most tracks to a detection.

    `tracks` are those that the search before had found.
    """
    best: list[tuple[float, float]] = []
    for track in tracks[:MOST_TRIED]:
        for spot in spots:
            x, y, log_size, *_ = spot
            place = track.place
            if abs(log_size - place.log_size) <= ALIKE:
                agree = _agreeing(tracks, spots, x - place.x, y - place.y)
                best = max(best, agree, key=len)
    if len(best) < LEAST_PEOPLE or len(best) < LEAST_PART * len(tracks):
        return None
    return sum(dx for dx, _ in best) / len(best), sum(dy for _, dy in best) / len(best)


def knocked(newcomer: Track, vanished: Sequence[Track]) -> dict[int, float]:
    """Return the log likelihood ratio of a newcomer by the track, of those that vanished as it came, that it may be.

    One alone does not show whether the camera was knocked or one went as another came: looks have to tell.
    """
    size = newcomer.place.log_size
    return {track.id: KNOCKED for track in vanished if abs(track.place.log_size - size) <= SURELY_ALIKE}


def _agreeing(tracks: Sequence[Track], spots: Sequence[Spot], dx: float, dy: float) -> list[tuple[float, float]]:
    """Return the movement of each track that this one brings to a detection of its size."""
    found = []
    for track in tracks:
        place, limit = track.place, WITHIN * track.size_px
        for x, y, log_size, *_ in spots:
            off_x, off_y = x - place.x, y - place.y
            near = abs(off_x - dx) <= limit and abs(off_y - dy) <= limit
            if near and abs(log_size - place.log_size) <= ALIKE:
                found.append((off_x, off_y))
                break
    return found


class Shake:
    """How strongly the camera trembles: by how much more everybody's places vary than people do."""

    def __init__(self) -> None:
        # Variance of the picture's place along one axis.
        self.px2 = 0.0
        self._learnt_s = -math.inf

    def learn(
        self, tracks: Sequence[Track], spots: Sequence[Spot], pairs: Sequence[tuple[int, int]], now_s: float
    ) -> None:
        """Take in one search: `tracks`, predicted to it, the detections' `spots`, and which of them are paired."""
        spot_of = {row: spots[column] for row, column in pairs}
        taken = {column for _, column in pairs}
        free = [spot for column, spot in enumerate(spots) if column not in taken]
        told = [_excess(track, spot_of.get(row), free) for row, track in enumerate(tracks) if _tells(track)]
        found = [excess for excess in told if excess is not None]
        if found:
            part = 1 - math.exp(-min(now_s - self._learnt_s, 1.0) / LEARNT_IN_S)
            # Of one person alone it may be the person.
            part *= len(found) / (len(found) + 1)
            self.px2 = max(self.px2 + part * (sum(found) / len(found) - self.px2), 0.0)
            self._learnt_s = now_s


def _tells(track: Track) -> bool:
    return track.misses <= 1 and (track.hits >= LEAST_HITS or track.before is not None)


def _excess(track: Track, own: Spot | None, free: Sequence[Spot]) -> float | None:
    """Return by how much, in px², a track's detection is further off than people are; None where none is its own.

    A track that was just seen and is not found may be the nearest unpaired detection that is alike in size.
    """
    size2 = track.size_px**2
    if own is not None:
        return min(track.surprise(own), MOST**2 * size2) - UNEVEN**2 * size2
    if not track.seen:
        return None
    alike = [spot for spot in free if abs(spot[2] - track.place.log_size) <= ALIKE]
    nearest = min((track.surprise(spot) for spot in alike), default=math.inf)
    return min(nearest, MOST**2 * size2) if nearest < size2 else None
