"""`edge-agender doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from edge_agender.commands.options import add_config_flags, add_source_flag, config_path, overrides_of
from edge_agender.common.logs import configure_logging


def add_arguments(parser: ArgumentParser) -> None:
    add_config_flags(parser)
    add_source_flag(parser)
    parser.add_argument("--json", action="store_true", help="a JSON array of {check, state, finding, remedy}")


def run(options: Namespace) -> int:
    """Print the results as lines or JSON. 1 where something failed, 0 else."""
    configure_logging("critical")  # what a check finds, it reports itself
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
    from edge_agender.commands.doctor.checks import each, failed
    from edge_agender.commands.doctor.report import as_json, as_text, summary
    from edge_agender.commands.terminal import wants_colours
    from edge_agender.device.hardening import harden_process

    harden_process()
    results, colour = [], wants_colours(sys.stdout)
    for result in each(config_path(options), overrides_of(options)):
        results.append(result)
        if not options.json:
            print(as_text(result, colour=colour), flush=True)
    print(as_json(results) if options.json else summary(results))
    return 1 if failed(results) else 0
