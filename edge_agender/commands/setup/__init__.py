"""`edge-agender setup`: ask, show, write, start, examine."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_agender.commands.options import add_broker_flags, add_source_flag
from edge_agender.common.logs import configure_logging


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="ask nothing: flags, else what is configured, else defaults")
    parser.add_argument("--name", metavar="WORD", help="device name, such as lobby")
    parser.add_argument("--enrol", metavar="TOKEN", help="what `fleet enrol` printed, or a file with it")
    parser.add_argument(
        "--no-remote-config", action="store_true", help="with --enrol: the fleet may set no options from afar"
    )
    add_broker_flags(parser)
    add_source_flag(parser)
    parser.add_argument("--privacy", metavar="LEVEL", help="aggregate, frame or viewer")
    parser.add_argument(
        "--estimator", metavar="MODEL", help="a name of `models list`; auto: what this board can afford"
    )
    parser.add_argument("--no-start", action="store_true", help="write the files only")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="write below this folder instead, and start nothing"
    )


def run(options: Namespace) -> int:
    configure_logging("critical")  # what the doctor finds, it reports itself
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
    os.umask(0o022)  # whatever this shell has: the service is to reach what lies in the folders that are made
    from edge_agender.commands.setup.steps import run_setup

    return run_setup(options)
