"""`edge-agender evaluate`: accuracy on one's own labelled pictures, as one JSON object."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_agender.commands.options import add_model_flags
from edge_agender.common.logs import configure_logging

# Below this a score is noise on any detector; average precision needs all above it.
LEAST_SCORE = 0.02


def add_arguments(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="faces|boxes", required=True)
    faces = kinds.add_parser("faces", help="age and gender; LABELS.csv has path, age, gender (male|female)[, group]")
    boxes = kinds.add_parser("boxes", help="average precision of the detector; LABELS.json as WIDER's")
    for kind, suffix in ((faces, "csv"), (boxes, "json")):
        kind.add_argument("labels", type=Path, metavar=f"LABELS.{suffix}")
        kind.add_argument("--root", type=Path, help="folder that the paths start from; default: that of the labels")
        add_model_flags(kind)


def run(options: Namespace) -> int:
    configure_logging("warning")
    from edge_agender.commands.evaluate.figures import evaluate_boxes, evaluate_faces
    from edge_agender.vision.stills import open_predictor

    # Average precision looks at every threshold, so the detector must not apply its own.
    threshold = LEAST_SCORE if options.kind == "boxes" else None
    measure = {"faces": evaluate_faces, "boxes": evaluate_boxes}[options.kind]
    progress = _show_progress if sys.stderr.isatty() else None
    predict_one = open_predictor(options.detector, options.estimator, threshold)
    print(json.dumps(measure(options.labels, predict_one, options.root, progress), indent=1))
    return 0


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done} of {total}", end="" if done < total else "\n", file=sys.stderr, flush=True)
