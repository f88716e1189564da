"""`edge-agender models`: list models, describe one, or install a published one."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_agender.common.logs import configure_logging


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="every known model: bundled, installed or available")
    info = actions.add_parser("info", help="what is known of a model, and its card")
    info.add_argument("name")
    add = actions.add_parser("add", help="install a published model, every file checked by its SHA-256")
    add.add_argument("name")
    add.add_argument(
        "--from",
        type=Path,
        dest="folder",
        metavar="DIR",
        help="take the files from a folder; its own manifest.yaml counts",
    )


def run(options: Namespace) -> int:
    configure_logging("warning")
    from edge_agender.commands.models.install import add_model, list_models, model_info

    if options.action == "list":
        for row in list_models():
            size = "" if row.size_bytes is None else f"{row.size_bytes / 1000:.0f} kB"
            print(f"{row.name:28}{row.role:11}{row.state:11}{size:>10}  {row.title}")
    elif options.action == "info":
        info = model_info(options.name)
        card = info.pop("card")
        print(json.dumps(info, indent=1, default=str))
        if card:
            print(f"\n{card}")
    else:
        os.umask(0o022)  # whatever this shell has: the service, another user, is to read them
        spec = add_model(options.name, options.folder)
        print(f"{spec.name}: installed in {spec.folder}; terms: {spec.licence}")
    return 0
