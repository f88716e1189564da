"""Looking, as the daemon judges it, against frames that were labelled by eye before anything was measured."""

from __future__ import annotations

import csv
from collections import defaultdict

import cv2
import numpy as np
import pytest

from edge_agender.audience.visits import Visits
from edge_agender.config.audience import AudienceConfig
from edge_agender.config.settings import Config, GatingConfig
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.preprocess import small_luma
from edge_agender.vision.assembly import build_pipeline
from tests.support.paths import ROOT, SHARED

LABELS = ROOT / "tests" / "data" / "looking.csv"
VIDEOS = SHARED / "videos"
FPS = {"sign-again.mkv": 30.0}
Judged = dict[tuple[str, str], list[tuple[bool, bool]]]


def judged(video: str, rows: list[dict[str, str]]) -> Judged:
    """Return (labelled, judged) of each labelled frame by person; nobody found is judged not to look."""
    # Every frame was labelled, so every frame is searched.
    searched = Config(gating=GatingConfig(motion=False, cadence=False))
    pipeline, visits = build_pipeline(searched), Visits(AudienceConfig())
    capture, fps = cv2.VideoCapture(str(VIDEOS / video)), FPS.get(video, 10.0)
    result: Judged = defaultdict(list)
    last = max(int(row["frame"]) for row in rows)
    # Of a long video, only what is labelled and what leads up to it.
    wanted = {int(row["frame"]) - back for row in rows for back in range(4)}
    for index in range(last + 1):
        if not capture.grab():
            break
        if index not in wanted:
            continue
        picture = np.asarray(capture.retrieve()[1], np.uint8)
        seen = pipeline.process(Frame(index, index / fps, index / fps, small_luma(picture, (320, 240)), picture))
        if seen.faces and seen.faces[0].pose is None and seen.faces[0].last_seen_s == index / fps:
            pytest.skip("the shipped detector gives no landmarks")
        visits.observe(seen.faces, index / fps, index / fps, None, 1000.0)
        present = visits.present()
        for row in (row for row in rows if int(row["frame"]) == index):
            x = float(row["x"]) + float(row["width"]) / 2
            y = float(row["y"]) + float(row["height"]) / 2
            looks = any(
                bool(present[face.track_id].looking)
                for face in seen.faces
                if face.last_seen_s == index / fps and face.box.x1 < x < face.box.x2 and face.box.y1 < y < face.box.y2
            )
            result[video, row["person"]].append((row["looking"] == "1", looks))
    return result


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="needs ../shared/videos")
def test_looking_is_what_was_labelled_by_eye() -> None:
    by_video: dict[str, list[dict[str, str]]] = defaultdict(list)
    with LABELS.open() as lines:
        for row in csv.DictReader(lines):
            by_video[row["video"]].append(row)
    result: Judged = {}
    for video, rows in by_video.items():
        result |= judged(video, rows)
    for (video, person), pairs in result.items():
        right = np.mean([label == looks for label, looks in pairs])
        assert right >= 0.9, (video, person, right)
        labelled, looked = (sum(pair[at] for pair in pairs) for at in (0, 1))
        assert abs(looked - labelled) <= 0.15 * max(labelled, 0.1 * len(pairs)), (video, person, labelled, looked)
    assert sum(len(pairs) for pairs in result.values()) > 250
