"""Which fleet a verb is about: its configuration and store."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge_agender.config.load import apply_overrides, read_file
from edge_agender.errors import ConfigError

if TYPE_CHECKING:
    from edge_agender.fleet.settings import FleetConfig
    from edge_agender.fleet.store import Database

CONFIG_VARIABLE, SYSTEM_CONFIG = "EDGE_AGENDER_FLEET_CONFIG", Path("/etc/edge-agender/fleet.yaml")


def load(options: Namespace) -> FleetConfig:
    """Return the fleet's configuration as --config and --set describe it; raise ConfigError with a line a mistake."""
    from edge_agender.fleet.settings import FleetConfig

    named = options.config or os.environ.get(CONFIG_VARIABLE)
    path = Path(named) if named else (SYSTEM_CONFIG if SYSTEM_CONFIG.is_file() else None)
    data = apply_overrides(read_file(path) if path else {}, options.overrides)
    try:
        return FleetConfig.model_validate(data)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_input=False)
        lines = [f"{path or 'fleet'}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in mistakes]
        raise ConfigError("\n".join(lines)) from None


@contextmanager
def opened(options: Namespace) -> Iterator[tuple[FleetConfig, Database]]:
    from edge_agender.fleet.store import open_database

    config = load(options)
    database = open_database(config.store_url)
    try:
        yield config, database
    finally:
        database.close()
