"""How alike the frames of one person are estimated, and how far the daemon's deviation holds the true age.

Two things: the tracks of videos, every frame estimated (which part of the variance all frames share); and strangers of
known age as visits of a few seconds (each face shifted, scaled and mirrored), whose running estimate is compared.

    python -m benchmarks.spread ../shared/data ../shared/videos
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from benchmarks.strangers import found
from edge_agender.common.output import run_script
from edge_agender.config.load import load
from edge_agender.config.settings import DetectorConfig, EstimatorConfig
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import mirrored
from edge_agender.recordings.play import Player
from edge_agender.vision.assembly import configured_detector, configured_estimator
from edge_agender.vision.faces import Estimate
from edge_agender.vision.pipeline import cut
from edge_agender.vision.tracking.evidence import SHARED_VARIANCE, Evidence

# Tracks of fewer crops say little of their spread.
LEAST_CROPS = 15
VIEWS = 8
# Of the tracker's boxes: how far they shift, in parts of the box, and how much their size varies.
SHIFT, SCALE = 0.04, 0.06


@dataclass
class Crops:
    """What was estimated of one track, crop by crop."""

    estimates: list[Estimate] = field(default_factory=list)
    qualities: list[float] = field(default_factory=list)

    @property
    def spread_years(self) -> float:
        return float(np.std([each.years for each in self.estimates], ddof=1))

    @property
    def said_years(self) -> float:
        return float(np.sqrt(np.mean([each.years_sd**2 for each in self.estimates])))

    @property
    def shared(self) -> float:
        """The part of the variance that the network says of a crop which does not show between crops."""
        return max(1 - self.spread_years**2 / self.said_years**2, 0.0)


@contextmanager
def noted() -> Iterator[dict[int, Crops]]:
    """Note every estimate that any track is given, by the track's evidence."""
    crops: dict[int, Crops] = {}
    kept: list[Evidence] = []
    add = Evidence.add

    def note(self: Evidence, estimate: Estimate, quality: float, now_s: float) -> None:
        if id(self) not in crops:
            kept.append(self)  # so that no later one gets its id
        of_track = crops.setdefault(id(self), Crops())
        of_track.estimates.append(estimate)
        of_track.qualities.append(quality)
        add(self, estimate, quality, now_s)

    with patch.object(Evidence, "add", note):
        yield crops


def tracks(videos: Sequence[Path]) -> dict[str, list[Crops]]:
    """Return the tracks of each video that have crops enough, every frame searched and estimated."""
    by_video = {}
    for video in videos:
        options = ["gating.motion=false", "gating.cadence=false", "gating.estimates=false"]
        source = ["source.kind=opencv", f"source.opencv.uri={video}", "source.opencv.pace=false"]
        with noted() as crops, Player(load(None, [*source, *options])) as player:
            for _ in player.steps():
                pass
        by_video[video.name] = [each for each in crops.values() if len(each.estimates) >= LEAST_CROPS]
    return by_video


def jittered(box: Box, chance: random.Random) -> Box:
    width, height = box.width, box.height
    x, y = box.centre[0] + chance.gauss(0, SHIFT) * width, box.centre[1] + chance.gauss(0, SHIFT) * height
    scale = np.exp(chance.gauss(0, SCALE)) / 2
    return Box(x - width * scale, y - height * scale, x + width * scale, y + height * scale)


def visits(data: Path, every: int) -> tuple[np.ndarray, list[Crops]]:
    """Return how far the running estimate of each stranger is off in published deviations, and the crops of each."""
    detector, estimator = configured_detector(DetectorConfig()), configured_estimator(EstimatorConfig())
    chance = random.Random(7)
    pulls, crops = [], []
    for picture, detection, age, _ in found(data, detector, every):
        evidence, of_face = Evidence(), Crops()
        for view in range(VIEWS):
            crop = cut(picture, jittered(detection.box, chance), detection.landmarks, estimator)
            estimate = estimator.estimate([mirrored(crop) if view % 2 else crop])[0]
            if estimate is not None:
                evidence.add(estimate, 1.0, float(view))
                of_face.estimates.append(estimate)
        running = evidence.estimate
        if running is not None and len(of_face.estimates) > 1:
            # At 17.4 somebody is 17: ages are counted in whole years.
            pulls.append((running.years - age) / running.years_sd)
            crops.append(of_face)
    return np.array(pulls), crops


def report(data: Path, videos: Path, every: int) -> None:
    print(f"in use: {SHARED_VARIANCE} of the variance is shared")
    shared = []
    for name, of_video in tracks(sorted(videos.iterdir())).items():
        for each in of_video:
            shared.append(each.shared)
            spread = f"spread {each.spread_years:.1f}, said {each.said_years:.1f} years"
            print(f"{name:45}{len(each.estimates):4} crops  {spread}  shared {each.shared:.2f}", flush=True)
    print(f"{len(shared)} tracks: shared {min(shared):.2f} to {max(shared):.2f}, median {np.median(shared):.2f}")
    pulls, crops = visits(data, every)
    stills = [each.shared for each in crops]
    inside = [100 * float(np.mean(np.abs(pulls) <= times)) for times in (1, 2)]
    print(f"{len(pulls)} strangers as visits of {VIEWS} views: shared, median {np.median(stills):.2f};")
    print(f"the daemon's deviation holds {inside[0]:.0f} % of ages, twice it {inside[1]:.0f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--every", type=int, default=3, help="each which stranger")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    report(options.data, options.videos, options.every)


if __name__ == "__main__":
    run_script(main)
