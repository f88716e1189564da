"""Our tracker beside a plain IoU tracker and plain SORT, on simulated people whose whereabouts are known.

Run in the root of a checkout:  python -m benchmarks.tracking [--seeds 5] [--json FILE] [--ours] [scene ...]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edge_agender.audience.counting import Audience
from edge_agender.common.output import run_script
from edge_agender.config.audience import TrackingConfig
from edge_agender.config.settings import Config
from edge_agender.imaging.geometry import Box, iou
from edge_agender.vision.tracking.assignment import assign
from edge_agender.vision.tracking.tracker import Tracker
from tests.support import scenes
from tests.support.simulator import Look, Scene, Simulation
from tests.support.tracking_score import Score, Update, observe, score, update_of
from tests.support.visits import NOON_S


def ours(_: Scene) -> Update:
    return update_of(Tracker(TrackingConfig()))


@dataclass
class Plain:
    """A track of the trackers that we compare with; ages are counted in frames, as theirs are."""

    id: int
    box: Box
    age: int = 0
    state: np.ndarray = field(default_factory=lambda: np.zeros(7))
    covariance: np.ndarray = field(default_factory=lambda: np.diag([10.0, 10, 10, 10, 1e4, 1e4, 1e4]))


def plain_iou(scene: Scene, max_gap_s: float = 1.0, min_iou: float = 0.3) -> Update:
    """Greedy: the best overlap with the last box seen continues the track."""
    tracks: list[Plain] = []
    max_age, last_id = round(max_gap_s * scene.fps), 0

    def update(look: Look) -> list[int | None]:
        nonlocal last_id
        detections = look.detections
        ids: list[int | None] = [None] * len(detections)
        overlaps = iou([track.box for track in tracks], [d.box for d in detections])
        free = set(range(len(tracks)))
        for flat in np.argsort(-overlaps, axis=None):
            row, column = divmod(int(flat), overlaps.shape[1])
            if overlaps[row, column] >= min_iou and row in free and ids[column] is None:
                free.discard(row)
                tracks[row].box, tracks[row].age, ids[column] = detections[column].box, 0, tracks[row].id
        for row in free:
            tracks[row].age += 1
        tracks[:] = [track for track in tracks if track.age <= max_age]
        for column, detection in enumerate(detections):
            if ids[column] is None:
                last_id += 1
                ids[column] = last_id
                tracks.append(Plain(last_id, detection.box))
        return ids

    return update


# Bewley et al. 2016: state (x, y, area, aspect, dx, dy, darea) a frame, its published noise, IoU and Hungarian.
_MOVE = np.eye(7) + np.eye(7, k=4)
_PROCESS = np.diag([1, 1, 1, 1, 0.01, 0.01, 0.0001])
_MEASURE = np.diag([1.0, 1, 10, 10])


def sort(scene: Scene, max_gap_s: float | None = None, min_iou: float = 0.3) -> Update:
    """SORT; `max_gap_s` None is its own default of one frame."""
    tracks: list[Plain] = []
    max_age, last_id = 1 if max_gap_s is None else round(max_gap_s * scene.fps), 0

    def update(look: Look) -> list[int | None]:
        nonlocal last_id
        detections = look.detections
        ids: list[int | None] = [None] * len(detections)
        for track in tracks:
            _sort_predict(track)
        overlaps = iou([track.box for track in tracks], [d.box for d in detections])
        for row, column in assign((1 - overlaps).tolist(), 1 - min_iou):
            _sort_update(tracks[row], detections[column].box)
            ids[column] = tracks[row].id
        tracks[:] = [track for track in tracks if track.age <= max_age]
        for column, detection in enumerate(detections):
            if ids[column] is None:
                last_id += 1
                ids[column] = last_id
                state = np.concatenate([_sort_measure(detection.box), np.zeros(3)])
                tracks.append(Plain(last_id, detection.box, state=state))
        return ids

    return update


def _sort_measure(box: Box) -> np.ndarray:
    return np.array([*box.centre, box.area, box.width / box.height])


def _sort_predict(track: Plain) -> None:
    if track.state[2] + track.state[6] <= 0:
        track.state[6] = 0
    track.state = _MOVE @ track.state
    track.covariance = _MOVE @ track.covariance @ _MOVE.T + _PROCESS
    track.age += 1
    x, y, area, aspect = track.state[:4]
    width = np.sqrt(max(area * aspect, 1e-6))
    height = max(area, 1e-6) / width
    track.box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _sort_update(track: Plain, box: Box) -> None:
    innovation = _sort_measure(box) - track.state[:4]
    gain = track.covariance[:, :4] @ np.linalg.inv(track.covariance[:4, :4] + _MEASURE)
    track.state = track.state + gain @ innovation
    track.covariance = track.covariance - gain @ track.covariance[:4]
    track.age = 0


TRACKERS = {
    "ours": ours,
    "SORT, as published": sort,
    "SORT, gap 1 s": lambda scene: sort(scene, 1.0),
    "IoU, gap 1 s": plain_iou,
}
# The tracker's constants were chosen on these; what is published was never chosen on, and comes from the others.
TUNED_SEEDS = (1, 2, 3, *range(101, 111))
JUDGED_SEEDS = range(11, 31)
SCENES = {
    "10 fps, 9 arrivals a minute, 10 % misses": Scene(arrivals=0.15),
    "10 fps, 18 arrivals a minute, 10 % misses": Scene(arrivals=0.30),
    "5 fps, 9 arrivals a minute, 10 % misses": Scene(fps=5, arrivals=0.15),
    "15 fps, 9 arrivals a minute, 10 % misses": Scene(fps=15, arrivals=0.15),
    "30 fps, 9 arrivals a minute, 10 % misses": Scene(fps=30, arrivals=0.15),
    "10 fps, 9 arrivals a minute, 30 % misses": Scene(arrivals=0.15, miss=0.3),
    "groups of four": Scene(people=scenes.groups),
    "twenty within ten seconds": Scene(people=scenes.burst),
    "twenty who stand for two minutes": Scene(people=scenes.crowd),
    "hidden for 1.0 s by a crossing": Scene(people=scenes.crossing(1.0)),
    "hidden for 1.4 s by a crossing": Scene(people=scenes.crossing(1.4)),
    "back in place after 2 s": Scene(people=scenes.back_in_place(2)),
    "back in place after 5 s": Scene(people=scenes.back_in_place(5)),
    "back in place after 10 s": Scene(people=scenes.back_in_place(10)),
    "queue of five, glances away": Scene(people=scenes.queue((0.3, 1.5), 20)),
    "queue of five, 1 to 4 s away": Scene(people=scenes.queue((1, 4), 25)),
    "pacing at the picture's edge": Scene(people=scenes.pacing),
    "camera shaken by 10 px": Scene(arrivals=0.15, camera=scenes.shaken),
    "camera jolted by 120 px": Scene(arrivals=0.15, camera=scenes.jolted),
}


def compare(scene: Scene, seeds: Sequence[int], trackers: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return, by tracker, the figures over all seeds together."""
    rows = {}
    for name in trackers:
        make = TRACKERS[name]
        scores = [score(seeded, make(seeded)) for seeded in (replace(scene, seed=k) for k in seeds)]
        rows[name] = _together(scores)
    return rows


def _together(scores: Sequence[Score]) -> dict[str, float]:
    people = sum(s.people for s in scores)
    return {
        "people": people,
        "switches_per_100": 100 * sum(s.switches for s in scores) / people,
        "count_error_percent": 100 * (sum(s.viewers for s in scores) / people - 1),
        "dwell_error_s": float(np.average([s.dwell_error_s for s in scores], weights=[s.people for s in scores])),
        "dwell_error_p95_s": float(np.mean([s.dwell_error_p95_s for s in scores])),
    }


def counted(scene: Scene) -> dict[str, float]:
    """Return what the audience's windows counted of a scene, and what there was."""
    config, simulation, present_s = Config(), Simulation(scene), 0.0
    tracker, audience = Tracker(config.tracking), Audience(config)
    for look in simulation.looks():
        observe(tracker, look)
        faces = [track.face() for track in tracker.tracks]
        audience.observe(faces, now_s=look.now_s, utc_s=NOON_S + look.now_s, focal_length_px=1000)
        present_s += len(look.present) / scene.fps
    audience.close()
    tallies = [window.tally for window in audience.windows_due(NOON_S + scene.duration_s + 60)]
    people = [truth for truth in simulation.truth.values() if truth.frames >= 3]
    return {
        "viewers": sum(tally.viewers for tally in tallies),
        "true_viewers": sum(truth.dwell_s >= 0.5 for truth in people),
        "opportunities": sum(tally.passes for tally in tallies),
        "people": len(people),
        "present_s": sum(tally.count_s for tally in tallies),
        "true_present_s": present_s,
    }


def show_counted(scene: Scene, seeds: Sequence[int]) -> str:
    """Return the errors of viewers, opportunities to see and mean count, over all seeds together."""
    rows = [counted(replace(scene, seed=seed)) for seed in seeds]
    pairs = (("viewers", "true_viewers"), ("opportunities", "people"), ("present_s", "true_present_s"))
    errors = [100 * (sum(row[a] for row in rows) / sum(row[b] for row in rows) - 1) for a, b in pairs]
    return "windows: viewers {:+.1f} %, opportunities to see {:+.1f} %, mean count {:+.1f} %".format(*errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", help="part of a scene's name; all without one")
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, len(JUDGED_SEEDS) + 1), metavar="N",
                        help="ten simulated minutes each, at most 20")  # fmt: skip
    parser.add_argument("--ours", action="store_true", help="without the trackers that ours is compared with")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    seeds, results = JUDGED_SEEDS[: options.seeds], {}
    for name, scene in SCENES.items():
        if options.scenes and not any(part in name for part in options.scenes):
            continue
        results[name] = compare(scene, seeds, ["ours"] if options.ours else TRACKERS)
        print(f"\n{name}\n{'':20} people  switches/100  count error  dwell error (p95)")
        for tracker, row in results[name].items():
            who = f"{tracker:20} {row['people']:6.0f}  {row['switches_per_100']:12.1f}"
            dwell = f"{row['dwell_error_s']:8.2f} s ({row['dwell_error_p95_s']:.1f} s)"
            print(f"{who}  {row['count_error_percent']:+10.1f}%  {dwell}", flush=True)
        print(show_counted(scene, seeds), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    run_script(main)
