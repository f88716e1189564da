"""Side by side with the field, on the same frames, in one run:

    edge-agender models add res10 && edge-agender models add ssrnet      # or --from a folder
    python -m benchmarks.peers --rounds 40 [--keras FOLDER] [--models FOLDER] [--field FOLDER]

Rows: the demos' way (res10 in cv2.dnn and the SSR-Net pair in Keras, one predict a face and net; needs TensorFlow and
the published .h5 files in FOLDER), the same made fast (res10 and the pair in TFLite float32), Haar with that pair, and
ours with gating off and on. Rows take turns frame by frame, so that a noisy machine disturbs all alike; medians of
the ratios within a turn are what counts. Below them others' detectors for a picture and estimators for a face, in turn
too; where they lie says benchmarks.accuracy. What cannot run here says why.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import networks
from benchmarks.field.rows import OUR_DETECTOR, OUR_ESTIMATOR, Folders
from edge_agender.capture.sources.demo import DemoSource
from edge_agender.common.output import run_script
from edge_agender.config.load import load
from edge_agender.config.settings import DemoConfig, DetectorConfig, GatingConfig, SourceConfig
from edge_agender.errors import EdgeAgenderError
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.preprocess import crop_face, luma_of, small_picture
from edge_agender.inference.catalogue import find_model
from edge_agender.vision.assembly import build_pipeline, configured_detector
from edge_agender.vision.estimator import ModelEstimator

SMALL = (320, 240)
SIZE = (640, 480)
OURS = "ours, gating off"
Look = Callable[[Frame], int]


def frames(faces: int, count: int) -> list[Frame]:
    """Return frames of the demo with that many people standing in view."""
    demo = DemoConfig(people=faces, stay=True, pace=False)
    source = DemoSource(SourceConfig(kind="demo", width_px=SIZE[0], height_px=SIZE[1], demo=demo), threading.Event())
    shown = []
    for _ in range(count):
        frame = source.read()
        assert frame is not None
        small_bgr = None if frame.small_bgr is None else frame.small_bgr.copy()
        small, full = frame.small.copy(), frame.full.copy()
        shown.append(Frame(frame.sequence, frame.captured_s, frame.utc_s, small, full, small_bgr=small_bgr))
        frame.release()
    return shown


def plain(detector_kind: str, estimator: Callable[[list[Any]], object], margin: float) -> Look:
    """A demo's loop: detect, crop each face, estimate each face, in every frame."""
    detector = configured_detector(DetectorConfig.model_validate({"kind": detector_kind, "min_face_px": 1}))

    def look(frame: Frame) -> int:
        found = detector.detect(frame)
        estimator([crop_face(frame.full, each.box, 64, margin) for each in found])
        return len(found)

    return look


def published_pair() -> Callable[[list[Any]], object]:
    return ModelEstimator(find_model("ssrnet")).estimate


def keras_pair(folder: Path) -> Callable[[list[Any]], object]:
    """The published weights in Keras, called as the best-known demo calls them."""
    import keras

    from edge_agender.commands.models.keras import ssrnet

    nets = [ssrnet(keras, folder / f"{name}.h5", name) for name in ("ssrnet_age_megaface_asian", "ssrnet_gender_imdb")]

    def estimate(crops: list[Any]) -> None:
        for net in nets:
            if crops:
                net.predict(np.stack([cv2.normalize(c, None, 0, 255, cv2.NORM_MINMAX) for c in crops]), verbose=0)

    return estimate


def ours(gating: GatingConfig) -> Look:
    config = load(None, ["source.kind=demo"]).model_copy(update={"gating": gating})
    pipeline, sequence = build_pipeline(config), itertools.count()

    def look(frame: Frame) -> int:
        small = small_picture(frame.full, SMALL)  # the others scale the full picture themselves, so this one pays too
        # Frames are shown again and again: with their own times the clock would run backwards, and none be searched.
        number = next(sequence)
        seen = Frame(number, number / config.source.rate_hz, frame.utc_s, luma_of(small), frame.full, small_bgr=small)
        return len(pipeline.process(seen).faces)

    return look


def rows(keras: Path | None) -> dict[str, Look]:
    """Return what can run here; say why for the rest."""
    off = GatingConfig(motion=False, cadence=False, estimates=False)
    makers: dict[str, Callable[[], Look]] = {
        "demos' way": lambda: plain("res10", keras_pair(keras), 0.4) if keras else _missing("give --keras FOLDER"),
        "made fast": lambda: plain("res10", published_pair(), 0.4),
        "Haar + SSR-Net": lambda: plain("haar", published_pair(), 0.4),
        OURS: lambda: ours(off),
        "ours": lambda: ours(GatingConfig()),
    }
    ready = {}
    for name, make in makers.items():
        try:
            ready[name] = make()
        except (EdgeAgenderError, ImportError, OSError) as error:
            print(f"skipped: {name}: {error}", file=sys.stderr)
    return ready


def _missing(what: str) -> Look:
    raise OSError(what)


def timed(look: Look, frame: Frame) -> float:
    began = time.perf_counter()
    look(frame)
    return time.perf_counter() - began


def compare(looks: dict[str, Look], shown: list[Frame], rounds: int) -> dict[str, list[float]]:
    """Return each row's seconds a frame; in each round every row sees the same frame once."""
    for look in looks.values():
        for frame in shown[:3]:
            look(frame)
    taken: dict[str, list[float]] = {name: [] for name in looks}
    for number in range(rounds):
        for name, look in looks.items():
            taken[name].append(timed(look, shown[number % len(shown)]))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--faces", type=int, default=4)
    parser.add_argument("--keras", type=Path, help="folder with the published ssrnet_*.h5")
    parser.add_argument("--models", type=Path, help="folder with yunet_n.onnx, yunet_s.onnx, scrfd_2.5g_kps.onnx")
    parser.add_argument("--field", type=Path, help="what python -m benchmarks.field.convert has made")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    taken = compare(rows(options.keras), frames(options.faces, 30), options.rounds)
    result: dict[str, Any] = {"faces": options.faces, "rounds": options.rounds, "rows": {}}
    for name, seconds in taken.items():
        ratios = [theirs / mine for theirs, mine in zip(seconds, taken[OURS], strict=True)]
        result["rows"][name] = {
            "median_ms": round(1e3 * statistics.median(seconds), 3),
            "mean_ms": round(1e3 * statistics.fmean(seconds), 3),
            "times_ours": round(statistics.median(ratios), 2),
        }
    folders = Folders(options.models, options.field)
    (frame,) = frames(options.faces, 1)
    found = networks.detectors(frame, options.rounds, folders)
    said = networks.estimators(5 * options.rounds, folders)
    result |= {"detectors": _plain(found), "estimators": _plain(said)}
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{options.faces} faces, {SIZE[0]}x{SIZE[1]}, one thread, {options.rounds} rounds")
    for name, row in result["rows"].items():
        print(f"{name:20}{row['median_ms']:10.2f} ms a frame{row['times_ours']:8.1f} x ours with gating off")
    print(f"\ndetectors, a picture\n{networks.table(found, OUR_DETECTOR)}")
    print(f"\nestimators, a face\n{networks.table(said, OUR_ESTIMATOR)}")


def _plain(taken: dict[str, networks.Taken]) -> dict[str, Any]:
    return {name: asdict(each) for name, each in taken.items()}


if __name__ == "__main__":
    run_script(main)
