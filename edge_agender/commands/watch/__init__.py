"""`edge-agender watch`: a live view of what one device or a fleet publishes, until Ctrl-C."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge_agender.commands.options import add_broker_flags, add_config_flags, config_path
from edge_agender.common.logs import configure_logging


def add_arguments(parser: ArgumentParser) -> None:
    add_config_flags(parser)
    add_broker_flags(parser)
    parser.add_argument("--device", metavar="NAME", default="+", help="one device only; default: all")
    parser.add_argument("--json", action="store_true", help="one JSON object a change instead of a view")
    parser.add_argument("--count", type=int, metavar="N", help="end after N changes")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after S seconds")


def run(options: Namespace) -> int:
    configure_logging("error")
    from edge_agender.commands.watch.session import run_watch
    from edge_agender.commands.watch.target import broker_to_watch
    from edge_agender.config.load import load

    with broker_to_watch(options, load(config_path(options), options.overrides).mqtt) as mqtt:
        return run_watch(options, mqtt)
