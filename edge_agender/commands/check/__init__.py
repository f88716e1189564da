"""`edge-agender check`: every mistake of the configuration at once; the models; with --broker, one connection."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from edge_agender.commands.options import add_config_flags, config_path, load_config
from edge_agender.config.names import name_warnings
from edge_agender.errors import MediaError


def add_arguments(parser: ArgumentParser) -> None:
    add_config_flags(parser)
    parser.add_argument("--broker", action="store_true", help="also connect to the broker once")


def run(options: Namespace) -> int:
    config = load_config(options)
    from edge_agender.vision.assembly import build_pipeline

    build_pipeline(config)
    from edge_agender.commands.check.findings import remote_note, source_problem, warnings_of

    if problem := source_problem(config.source):
        raise MediaError(problem)
    warnings = [*name_warnings(config), *warnings_of(config)]
    accepted: list[str] = []
    if options.broker:
        from edge_agender.delivery.mqtt.probe import check_connection

        accepted, unwelcome = check_connection(config.mqtt, config.device.name)
        warnings += unwelcome
    for line in warnings:
        print(f"edge-agender: warning: {line}", file=sys.stderr)
    for line in accepted:
        print(f"ok: {line}")
    brokers = ", ".join(each.address for each in config.mqtt.brokers)
    print(f"ok: {config_path(options) or 'built-in defaults'}: source {config.source.kind}, detector "
          f"{config.detector.kind}, broker {brokers}")  # fmt: skip
    if config.fleet.remote_config:
        print(remote_note(config))
    return 0
