"""`edge-agender predict`: faces, ages and genders of pictures, one JSON object a line."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_agender.commands.options import add_model_flags
from edge_agender.common.logs import configure_logging
from edge_agender.errors import MediaError, UsageError


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="picture files or folders")
    parser.add_argument("--score-threshold", type=float, metavar="0..1", help="default: the detector's own")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write each picture with its faces marked, there")
    parser.add_argument("--blur", action="store_true", help="cover the faces in what --out writes")
    add_model_flags(parser)


def run(options: Namespace) -> int:
    """A picture that cannot be read is a line on stderr, and exit code 65 at the end."""
    configure_logging("warning")
    if options.score_threshold is not None and not 0 <= options.score_threshold <= 1:
        raise UsageError(f"--score-threshold {options.score_threshold}: give a number from 0 to 1")
    if options.blur and options.out is None:
        raise UsageError("--blur is about the pictures that --out writes: give --out DIR too")
    from edge_agender.recordings.stills import AnnotatedFolder
    from edge_agender.vision.stills import open_predictor, picture_files

    predict_one = open_predictor(options.detector, options.estimator, options.score_threshold)
    copies = AnnotatedFolder(options.out, blur=options.blur) if options.out is not None else None
    unreadable = 0
    for path in picture_files(options.images):
        try:
            found = predict_one(path)
            print(json.dumps(found), flush=True)
            if copies is not None:
                copies.write(path, found["faces"])
        except MediaError as error:
            unreadable += 1
            print(f"edge-agender: {error}", file=sys.stderr)
    return MediaError.exit_code if unreadable else 0
