"""What a tracker made of a simulation: identity switches, count error, dwell error."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_agender.vision.tracking.tracker import Tracker
from tests.support.simulator import HEIGHT_PX, WIDTH_PX, Look, Scene, Simulation

# Of the simulated crops.
QUALITY = 0.8
# A tracker under test: one frame at a time -> the track id that each of its detections belongs to (None: none yet).
Update = Callable[[Look], list[int | None]]


@dataclass(frozen=True)
class Score:
    """`switches`: how often a person's track became another. `count_error`: viewers counted, over true ones, less 1."""

    people: int
    viewers: int
    switches: int
    count_error: float
    dwell_error_s: float
    dwell_error_median_s: float
    dwell_error_p95_s: float


@dataclass
class _Seen:
    first_s: float
    last_s: float
    hits: int
    owners: Counter[int | None]


def score(scene: Scene, update: Update, *, min_hits: int = 3, min_s: float = 0.5) -> Score:
    """Run a tracker over a scene. Viewers are tracks of `min_hits` detections and `min_s`, as in the audience."""
    simulation = Simulation(scene)
    tracks: dict[int, _Seen] = {}
    latest: dict[int, int] = {}
    switches = 0
    for look in simulation.looks():
        ids = update(look)
        switches += _note(look, ids, tracks, latest)
    true = {p: t for p, t in simulation.truth.items() if t.frames >= min_hits and t.dwell_s >= min_s}
    viewers = [t for t in tracks.values() if t.hits >= min_hits and t.last_s - t.first_s >= min_s]
    longest: dict[int, float] = defaultdict(float)
    for track in viewers:
        owner = track.owners.most_common(1)[0][0]
        if owner is not None:
            longest[owner] = max(longest[owner], track.last_s - track.first_s)
    errors = np.array([abs(longest[person] - t.dwell_s) for person, t in true.items()])
    return Score(
        people=len(true),
        viewers=len(viewers),
        switches=switches,
        count_error=len(viewers) / len(true) - 1,
        dwell_error_s=float(errors.mean()),
        dwell_error_median_s=float(np.median(errors)),
        dwell_error_p95_s=float(np.percentile(errors, 95)),
    )


def _note(look: Look, ids: list[int | None], tracks: dict[int, _Seen], latest: dict[int, int]) -> int:
    switches = 0
    for track_id, owner in zip(ids, look.owners, strict=True):
        if track_id is None:
            continue
        seen = tracks.setdefault(track_id, _Seen(look.now_s, look.now_s, 0, Counter()))
        seen.last_s, seen.hits = look.now_s, seen.hits + 1
        seen.owners[owner] += 1
        if owner is not None:
            switches += latest.get(owner, track_id) != track_id
            latest[owner] = track_id
    return switches


def update_of(tracker: Tracker) -> Update:
    """Run the product's tracker as the pipeline does, estimates included."""

    def update(look: Look) -> list[int | None]:
        observe(tracker, look)
        ids = {id(track.found): track.id for track in tracker.tracks if track.seen}
        return [ids.get(id(detection.box)) for detection in look.detections]

    return update


def observe(tracker: Tracker, look: Look) -> None:
    """Let the tracker see a simulated frame as the pipeline does."""
    tracker.show((WIDTH_PX, HEIGHT_PX))
    tracker.update(look.detections, look.now_s)
    estimates = {id(each.box): estimate for each, estimate in zip(look.detections, look.estimates, strict=True)}
    for track in tracker.visible:
        if track.needs_estimate(QUALITY):
            track.add_estimate(estimates[id(track.found)], QUALITY)
