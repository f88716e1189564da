"""How far the camera itself moved, from the faces alone: everybody who was there is found beside where they were.

No picture is compared with another one, so none has to be kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agender.vision.tracking.track import Spot, Track

# Sizes of one face in two frames differ by no more, in log size.
ALIKE = 0.25
# Detections agree on a movement within this part of a face's size.
WITHIN = 0.35
# So many must agree, and so large a part of those who were seen a moment ago.
LEAST_PEOPLE, LEAST_PART = 2, 0.6
# Movements of so many tracks are tried: that none of them is among those who agree happens once in 240 times. All of a
# crowd would take time with the fourth power of its number.
MOST_TRIED = 6


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
