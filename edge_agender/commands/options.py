"""Flags that several verbs share, and the configuration that they describe together."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agender.common.logs import configure_logging

if TYPE_CHECKING:
    from edge_agender.config.settings import Config

SYSTEM_CONFIG = Path("/etc/edge-agender/config.yaml")
CONFIG_VARIABLE = "EDGE_AGENDER_CONFIG"
DETECTORS = ("ssd", "res10", "yunet", "haar")


def add_config_flags(parser: ArgumentParser) -> None:
    add_file_and_overrides(
        parser, CONFIG_VARIABLE, SYSTEM_CONFIG, what="SECTION.OPTION", example="mqtt.host=broker.local"
    )


def add_file_and_overrides(
    parser: ArgumentParser, variable: str, system_file: Path, *, what: str, example: str
) -> None:
    """--config and --set for a configuration file: where it is found without, and what can be set."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"default: ${variable}, {system_file} where it exists, else built-in values",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar=f"{what}=VALUE",
        dest="overrides",
        help=f"any option of {system_file.name}, such as {example}; may be repeated",
    )


def add_source_flag(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        metavar="WHAT",
        help="demo, picamera2, a video file, a picture or folder, an http or rtsp URL, or /dev/video0",
    )


def add_broker_flags(parser: ArgumentParser) -> None:
    parser.add_argument("--broker", metavar="HOST", help="name or address of the MQTT broker")
    parser.add_argument("--port", metavar="N", help="default: 1883, or 8883 with TLS")
    parser.add_argument("--tls", action="store_true", help="TLS, with the certificate authorities of this system")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="TLS, with the certificate authority in this file")
    parser.add_argument("--user", metavar="NAME", help="user name at the broker")
    # Never the password itself: everybody on the machine can read command lines.
    parser.add_argument("--password-file", metavar="FILE", help="file with the password alone; - reads standard input")


def add_model_flags(parser: ArgumentParser) -> None:
    parser.add_argument("--detector", choices=DETECTORS, default="ssd")
    parser.add_argument("--estimator", metavar="NAME", help="a model of `edge-agender models list`")


def overrides_of(options: Namespace) -> list[str]:
    """Return the --set options, after those that --source stands for."""
    from edge_agender.config.load import source_overrides

    source = getattr(options, "source", None)
    return [*(source_overrides(source) if source else ()), *options.overrides]


def load_config(options: Namespace) -> Config:
    """Return the configuration that --config, --set and --source describe together, its log level in force."""
    from edge_agender.config.load import load

    config = load(config_path(options), overrides_of(options))
    configure_logging(config.log.level)
    return config


def config_path(options: Namespace) -> Path | None:
    """Return the configuration file in use; None for the built-in values."""
    if options.config is not None:
        return Path(options.config)
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    return SYSTEM_CONFIG if SYSTEM_CONFIG.is_file() else None
