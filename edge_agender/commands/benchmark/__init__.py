"""`edge-agender benchmark`: how fast this board is, by stage, beside what its silicon can do."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_agender.commands.options import add_config_flags, load_config


def add_arguments(parser: ArgumentParser) -> None:
    add_config_flags(parser)
    parser.add_argument("--source", metavar="WHAT", default="demo", help="as for run; default: demo")
    parser.add_argument("--faces", metavar="N,N,...", help="audience sizes of the demo; default: 0,1,4,16")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="for both networks; default: 1")
    parser.add_argument("--json", action="store_true", help="JSON (docs/benchmark.schema.json) instead of a table")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="also print ratios to an older result")


def run(options: Namespace) -> int:
    from edge_agender.commands.benchmark.measure import run_benchmark

    return run_benchmark(options, load_config(options))
