"""A program for Home Assistant's own Python: what its MQTT integration makes of a device's discovery message.

Reads {level: message} on standard input; prints, by level and component, what Home Assistant refuses or would ignore.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
import tempfile
from copy import deepcopy
from typing import Any

MQTT = "homeassistant.components.mqtt"
# What Home Assistant hands to each component beside the options that it shares (discovery.py).
DEVICES_OWN = ("device", "origin")


def complaints(message: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong with a discovery message, by component; the whole message's under ''."""
    schemas = importlib.import_module(f"{MQTT}.schemas")
    try:
        schemas.DEVICE_DISCOVERY_SCHEMA(deepcopy(message))
    except Exception as error:  # voluptuous.Invalid, of a library that is not ours
        return {"": str(error)}
    given = {option: message[option] for option in (*schemas.SHARED_OPTIONS, *DEVICES_OWN) if option in message}
    said = {}
    for key, entry in message["components"].items():
        component = {**given, **entry}
        platform = component.pop("platform")
        # Nothing else than its platform: the component is removed.
        if len(entry) > 1 and (wrong := _of_component(platform, component)):
            said[key] = wrong
    return said


def _of_component(platform: str, component: dict[str, Any]) -> str | None:
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    try:
        taken = importlib.import_module(f"{MQTT}.{platform}").DISCOVERY_SCHEMA(deepcopy(component))
    except Exception as error:
        return str(error)
    finally:
        logging.getLogger().removeHandler(warnings)
    ignored = component.keys() - taken.keys()
    return f"ignored: {', '.join(sorted(ignored))}" if ignored else warnings.said


class Warnings(logging.Handler):
    """Keeps the latest warning: Home Assistant takes a wrong unit, and says so in its log."""

    said: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.said = record.getMessage()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Its validators look for a running Home Assistant.
        home = importlib.import_module("homeassistant.core").HomeAssistant(folder)
        importlib.import_module("homeassistant.helpers.frame").async_setup(home)
        said = {level: complaints(message) for level, message in json.load(sys.stdin).items()}
        await home.async_stop(force=True)
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
