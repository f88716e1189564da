"""`edge-agender check`: every mistake of the configuration at once; the models; with --broker, one connection."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge_agender.commands.options import add_config_flags, config_path, load_config


def add_arguments(parser: ArgumentParser) -> None:
    add_config_flags(parser)
    parser.add_argument("--broker", action="store_true", help="also connect to the broker once")


def run(options: Namespace) -> int:
    config = load_config(options)
    from edge_agender.vision.assembly import build_pipeline

    build_pipeline(config)
    if options.broker:
        from edge_agender.delivery.mqtt.probe import check_connection

        check_connection(config.mqtt, config.device.name)
    print(f"ok: {config_path(options) or 'built-in defaults'}: source {config.source.kind}, detector "
          f"{config.detector.kind}, broker {config.mqtt.host}:{config.mqtt.effective_port}")  # fmt: skip
    return 0
