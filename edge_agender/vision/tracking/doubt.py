"""Which pairs of a track and a detection are doubtful: somebody else may be meant, as where people hide one another.

What follows is then kept apart until estimates of it tell whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_agender.vision.tracking.assignment import Costs
from edge_agender.vision.tracking.reassociation import same_person
from edge_agender.vision.tracking.track import WORST_COST, Spot, Track, place_of

# Log likelihood ratio below which a pair is not sure. Swept on the simulator's tuning seeds: 1.5 to 5 differ little.
MARGIN = 3.0
# Somebody remembered is looked for within so many sizes.
WITHIN = 2.0
# Who was settled by looks so lately, and has been seen since, is doubted only where somebody else is the likelier one.
SETTLED_S = 1.0


def rivals(
    near: Sequence[Track],
    remembered: Sequence[Track],
    pairs: Sequence[tuple[int, int]],
    costs: Costs,
    spots: Sequence[Spot],
    now_s: float,
) -> dict[int, dict[int, float]]:
    """Return, by row of `near`, the log likelihood ratios of its detection by track: itself, and who else it may be.

    `near` are the tracks that were paired by `costs`, `remembered` those that are only found again by looks.
    """
    column_of = dict(pairs)
    doubtful: dict[int, dict[int, float]] = {}
    for row, column in pairs:
        track = near[row]
        if not track.decided:
            continue
        claim = _claim(costs[row][column])
        margin = 0.0 if track.seen and now_s - track.settled_s < SETTLED_S else MARGIN
        claims = {near[other].id: _claim(costs[other][column]) for other in _near(near, row, column_of, costs, margin)}
        claims |= _remembered(remembered, track.id, spots[column], max(claim - margin, 0), now_s)
        if claims:
            doubtful[row] = {track.id: claim, **claims}
    return doubtful


def _near(near: Sequence[Track], row: int, column_of: Mapping[int, int], costs: Costs, margin: float) -> list[int]:
    """Return the rows that may have been meant instead: alone, or in exchange for their own detection."""
    column, found = column_of[row], []
    for other, track in enumerate(near):
        cost = costs[other][column]
        if other == row or cost > WORST_COST or not track.decided:
            continue
        theirs = column_of.get(other)
        exchanged = cost - costs[row][column]
        if theirs is not None:
            exchanged += costs[row][theirs] - costs[other][theirs]
        if exchanged / 2 < margin:
            found.append(other)
    return found


def _remembered(remembered: Sequence[Track], own: int, spot: Spot, least: float, now_s: float) -> dict[int, float]:
    place, ratios = place_of(spot), {}
    for track in remembered:
        if track.id == own:
            continue
        lost = track.last_place
        if abs(lost.x - place.x) < WITHIN * track.size_px and abs(lost.y - place.y) < WITHIN * track.size_px:
            ratio = same_person(lost, place, now_s - track.last_seen_s)
            if ratio > least:
                ratios[track.id] = ratio
    return ratios


def _claim(cost: float) -> float:
    return (WORST_COST - cost) / 2
