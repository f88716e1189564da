"""`edge-agender privacy-report`: what a data-protection officer asks, from the configuration in use."""

from __future__ import annotations

import platform
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_agender.commands.options import add_config_flags, config_path, load_config


def add_arguments(parser: ArgumentParser) -> None:
    add_config_flags(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("privacy-report"), metavar="DIR", help="default: ./privacy-report"
    )
    parser.add_argument(
        "--proof", type=Path, metavar="FILE", help="result of make prove-no-images; default: this machine's"
    )
    parser.add_argument("--language", choices=("en",), default="en")


def run(options: Namespace) -> int:
    config = load_config(options)
    from edge_agender.commands.privacy_report.facts import SERVICE_STATE, facts_of
    from edge_agender.commands.privacy_report.proof import find_proof, read_proof
    from edge_agender.commands.privacy_report.write import write_report
    from edge_agender.daemon.reporter import versions
    from edge_agender.device.paths import state_folder

    used = versions(config)
    origin = str(config_path(options) or "built-in defaults: there is no configuration file")
    facts = facts_of(config, software=used["software"], fingerprint=used["configuration"], origin=origin)
    folders = [config.outbox.path or state_folder(), state_folder(), SERVICE_STATE]
    proof = read_proof(options.proof) if options.proof else find_proof(folders)
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    for path in write_report(facts, proof, options.out, made=made, machine=platform.node()):
        print(path)
    print("Drafts: fill in what is marked, and let a lawyer see what is marked for one.", file=sys.stderr)
    return 0
