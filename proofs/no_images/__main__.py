"""Proves that no picture leaves the daemon:  python -m proofs.no_images [--seconds 10] [--video FILE]... [--json FILE]

The daemon runs under strace on pictures and on the live demo, both with faces, then again with leaks planted in it.
Exit code 0: nothing but text left it, and every planted leak was found; 1: not so; 77: this machine cannot show it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_agender import __version__
from edge_agender.commands.privacy_report.proof import RESULT_NAME
from edge_agender.common.output import run_script
from edge_agender.config.settings import DemoConfig, ImagesConfig, OpencvConfig, SourceConfig
from edge_agender.device.paths import state_folder
from edge_agender.errors import EdgeAgenderError
from proofs.no_images.known import known, write_pictures
from proofs.no_images.memory import Check, unit_checks
from proofs.no_images.planted import LEAKS
from proofs.no_images.report import Verdict, judge
from proofs.no_images.trace import TraceError
from proofs.no_images.watched import watch

CANNOT = 77
# What the daemon shows live, frame for frame, as fast as it can be drawn.
DEMO = SourceConfig(kind="demo", width_px=640, height_px=480, demo=DemoConfig(people=4, pace=False))
KNOWN_FRAMES = 8
# Neighbouring frames are alike.
EVERY = 12


@dataclass(slots=True)
class Row:
    """One line of the report."""

    name: str
    passed: bool
    detail: str


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def trial(
    name: str,
    source: str,
    config: SourceConfig,
    folder: Path,
    *,
    seconds: float | None = None,
    every: int = EVERY,
    faces: bool = True,
) -> Iterator[Row]:
    """Run the daemon on one source and judge what left it; `faces`: a run that shows none proves nothing."""
    run = watch(source, folder / name.replace(" ", "-"), seconds=seconds)
    if run.exit_code != 0:
        yield Row(name, False, f"the daemon ended with {run.exit_code}: {run.output.strip().splitlines()[-1:]}")
        return
    frames = known(config, KNOWN_FRAMES, every)
    verdict = judge(run, frames)
    seen = f"{verdict.bytes_out} bytes in {verdict.channels} channels, {len(frames.faces)} known faces"
    pages = f", {run.pages} answers of the status page" if run.pages else ""
    yield Row(name, not verdict.findings and (bool(frames.faces) or not faces), shown(verdict) or seen + pages)
    yield from (Row(f"{name}: {check.name}", check.passed, check.detail) for check in run.checks)


def shown(verdict: Verdict) -> str:
    return "; ".join(f"{finding.kind} in {finding.where}: {finding.what}" for finding in verdict.findings[:5])


def planted_trial(source: str, config: SourceConfig, folder: Path) -> Iterator[Row]:
    """Run the daemon with leaks in it: the search must find each kind."""
    run = watch(source, folder / "planted", planted=True)
    verdict = judge(run, known(config, KNOWN_FRAMES))
    for leak, kind in LEAKS.items():
        yield Row(f"planted {leak.__name__.replace('_', ' ')}", kind in verdict.kinds, f"must be found as: {kind}")


def prove(seconds: float, videos: Sequence[Path], folder: Path) -> Iterator[Row]:
    """Without seconds the live demo is left out: pictures and planted leaks alone take some seconds."""
    pictures = folder / "input"
    write_pictures(DEMO, pictures, every=EVERY, count=KNOWN_FRAMES)
    config = SourceConfig(kind="images", images=ImagesConfig(paths=(pictures,)))
    yield from trial("pictures", str(pictures), config, folder, every=1)
    if seconds > 0:
        yield from trial("live demo", "demo", DEMO, folder, seconds=seconds)
    for path in videos:
        video = SourceConfig(kind="opencv", opencv=OpencvConfig(uri=str(path), pace=False))
        yield from trial(f"video {path.stem}", str(path), video, folder, every=4, faces=False)
    yield from planted_trial(str(pictures), config, folder)
    yield from (_row(check) for check in unit_checks())


def _row(check: Check) -> Row:
    return Row(check.name, check.passed, check.detail)


def keep(path: Path, rows: Sequence[Row], passed: bool) -> None:
    """Write the result for `edge-agender privacy-report`; a folder that takes none is no failure of the proof."""
    result = {
        "passed": passed,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "software": __version__,
        "machine": platform.node(),
        "rows": [*map(asdict, rows)],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
    except OSError as error:
        say(f"the result is not kept: {path}: {error.strerror or error}: give another file with --json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proofs.no_images", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10, help="how long the live demo runs (10; 0: not at all)")
    parser.add_argument("--video", type=Path, action="append", default=[], help="also run on this video; repeatable")
    parser.add_argument("--json", type=Path, default=state_folder() / RESULT_NAME, metavar="FILE",
                        help="where the result is kept for `edge-agender privacy-report` (%(default)s)")  # fmt: skip
    options = parser.parse_args()
    rows = []
    try:
        with tempfile.TemporaryDirectory(prefix="no-images-") as folder:
            for row in prove(options.seconds, options.video, Path(folder)):
                say(f"{'ok  ' if row.passed else 'FAIL'}  {row.name}: {row.detail}")
                rows.append(row)
    except (TraceError, EdgeAgenderError) as error:
        say(f"cannot show it here: {error}")
        return CANNOT
    passed = all(row.passed for row in rows)
    keep(options.json, rows, passed)
    say("no picture left the daemon" if passed else "NOT PROVEN: see the lines that say FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    run_script(main)
