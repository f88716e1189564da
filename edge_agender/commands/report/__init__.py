"""`edge-agender report`: what recordings of one's own show of an audience, as one page without pictures."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agender.commands.options import add_config_flags, config_path
from edge_agender.common.logs import configure_logging
from edge_agender.errors import MediaError, UsageError

if TYPE_CHECKING:
    from edge_agender.commands.report.collect import Recording
    from edge_agender.commands.report.truth import Comparison


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="video files")
    add_config_flags(parser)
    parser.add_argument(
        "--out", type=Path, metavar="report.html", help="write the page there; default: a summary alone"
    )
    parser.add_argument("--truth", type=Path, metavar="visits.csv", help="hand-counted visits to compare with")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON object instead of a summary")


def run(options: Namespace) -> int:
    configure_logging("error")
    from edge_agender.commands.report.collect import collect
    from edge_agender.commands.report.page import render
    from edge_agender.commands.report.truth import compare, read_truth
    from edge_agender.imaging.quiet import silence_opencv
    from edge_agender.recordings.configuration import recording_config

    silence_opencv()
    files = [_recording(each) for each in options.files]
    truth = read_truth(options.truth, [path.name for path in files]) if options.truth else None
    configs = [recording_config(config_path(options), options.overrides, str(path), paced=False) for path in files]
    recordings = []
    for path, config in zip(files, configs, strict=True):
        if sys.stderr.isatty():
            print(f"{path.name} ...", file=sys.stderr)
        recordings.append(collect(path.name, config))
    comparison = compare(recordings, truth) if truth is not None else None
    if options.out is not None:
        _write(options.out, render(recordings, comparison, configs[0]))
    print(
        json.dumps(_figures(recordings, comparison)) if options.json else _summary(recordings, comparison, options.out)
    )
    return 0


def _recording(what: str) -> Path:
    path = Path(what)
    if not path.is_file():
        raise MediaError(f"{what}: no such file: give recordings, such as one made with the camera where it hangs")
    return path


def _figures(recordings: list[Recording], comparison: Comparison | None) -> dict[str, Any]:
    figures: dict[str, Any] = {"recordings": [each.as_dict() for each in recordings]}
    return figures | ({"truth": comparison.as_dict()} if comparison else {})


def _summary(recordings: list[Recording], comparison: Comparison | None, out: Path | None) -> str:
    from edge_agender.commands.report.advice import advice

    lines = [each.sentence() for each in recordings]
    lines += [each.text for each in advice(recordings) if not each.good]
    lines += comparison.sentences() if comparison else []
    return "\n".join([*lines, *([f"written: {out}"] if out else [])])


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None
        raise UsageError(
            f"{path}: {error.strerror or error}: give --out where there is room and you may write"
        ) from None
