"""`edge-agender run`: the service, until SIGTERM, SIGINT or, with --until-end, the end of the file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from edge_agender.commands.options import add_config_flags, add_source_flag, load_config


def add_arguments(parser: ArgumentParser) -> None:
    add_config_flags(parser)
    add_source_flag(parser)
    parser.add_argument(
        "--sink", choices=("mqtt", "stdout"), default="mqtt", help="stdout prints 'topic payload' lines instead"
    )
    parser.add_argument("--until-end", action="store_true", help="stop at the end of a file instead of starting again")


def run(options: Namespace) -> int:
    config = load_config(options)
    from edge_agender.daemon.service import Service

    service = Service(config, lambda: load_config(options), sink=options.sink, until_end=options.until_end)
    if summary := service.run():
        print(f"edge-agender: {summary}", file=sys.stderr)
    return 0
