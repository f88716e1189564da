"""Who left the picture by its edge, and how often whoever comes in there is the same person.

Beside one sign somebody paces up and down at the picture's edge, beside another all come and go by the same door: place
and size do not tell which it is. How often it is the same shows in how alike their looks are, over many of them
(expectation maximization, one at a time: Cappé and Moulines 2009).
"""

from __future__ import annotations

import math

from edge_agender.vision.tracking.reassociation import SIZE_DRIFT_SD, SIZE_SD, Place, same_looks
from edge_agender.vision.tracking.track import Track

# Whose box is so near to the edge, in parts of its size from the middle, or would be so much later, has left.
NEAR, LATER_S = 0.75, 0.4
# Who comes back is found so far from where it was lost, in parts of its size: along the edge and away from it.
ALONG_SD, ACROSS_SD = 0.4, 1.0
# What a place says in the mean of those who come back, which is therefore no evidence against it.
EXPECTED = 1.0
# Who comes back does so in this part of `rejoin_s` in the mean; anybody else comes at any time.
BACK_IN = 0.4
# A place that fits so badly teaches nothing.
LEAST_FIT = -1.0
# Before anything is known, so many of those who come in where somebody left are that somebody; each newcomer counts for
# so much of what is known.
AT_FIRST, EACH = 0.06, 0.1
LEAST = 0.02


class Exits:
    """Learns how often people come back by the edge where they left."""

    def __init__(self, rejoin_s: float) -> None:
        self._back_in_s = max(BACK_IN * rejoin_s, 1e-3)
        # Width and height of the pictures; without them nobody is known to have left.
        self.picture_px: tuple[int, int] | None = None
        self.returns = AT_FIRST

    def take_over(self, before: Exits) -> None:
        """Go on with what another configuration has learnt."""
        self.picture_px, self.returns = before.picture_px, before.returns

    def by(self, place: Place) -> int | None:
        """Return by which edges, 0: left or right, 1: top or bottom, a face that was lost there left; None: by none."""
        if self.picture_px is None:
            return None
        size, (width, height) = math.exp(place.log_size), self.picture_px
        rooms = (
            min(place.x + min(place.rate_x, 0) * LATER_S, width - place.x - max(place.rate_x, 0) * LATER_S),
            min(place.y + min(place.rate_y, 0) * LATER_S, height - place.y - max(place.rate_y, 0) * LATER_S),
        )
        room = min(rooms)
        return rooms.index(room) if room < NEAR * size else None

    def ratio(self, lost: Track, found: Track, axis: int) -> float:
        """Return the log likelihood ratio of a newcomer to be who left by an edge, as far as place and habit tell."""
        gone_s = found.first_seen_s - lost.last_seen_s
        soon = -math.log(BACK_IN) - gone_s / self._back_in_s
        return _fit(lost, found, axis) + soon + math.log(self.returns / (1 - self.returns))

    def learn(self, lost: Track, found: Track, axis: int) -> None:
        """Take in a newcomer, who may be who left by an edge."""
        if lost.estimate is None or found.estimate is None or _fit(lost, found, axis) < LEAST_FIT:
            return
        ratio = self.ratio(lost, found, axis) + same_looks(lost.looks, found.looks)
        same = 1 / (1 + math.exp(-max(ratio, -30.0)))
        self.returns = min(max(self.returns + EACH * (same - self.returns), LEAST), 1 - LEAST)


def _fit(lost: Track, found: Track, axis: int) -> float:
    before, after = lost.last_place, found.first_place
    size = math.exp((before.log_size + after.log_size) / 2)
    off = (after.x - before.x) / size, (after.y - before.y) / size
    variance = SIZE_SD**2 + SIZE_DRIFT_SD**2 * (found.first_seen_s - lost.last_seen_s)
    distance2 = (off[axis] / ACROSS_SD) ** 2 + (off[1 - axis] / ALONG_SD) ** 2
    return EXPECTED - (distance2 + (after.log_size - before.log_size) ** 2 / variance) / 2
