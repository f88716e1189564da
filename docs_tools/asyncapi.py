"""contract.py -> an AsyncAPI 3.0 document: topics, directions, QoS, and the schema of every payload."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import TypeAdapter

from docs_tools.json_schemas import plain
from edge_agender.messages.commands import COMMAND_TOPICS, COMMANDS
from edge_agender.messages.contract import PAYLOADS

# Of the contract, not of the software: major for a change, minor for an addition.
CONTRACT_VERSION = "1.0.0"
_REF = "#/components/schemas/{model}"
_RETAINED = {"status", "enabled", "reported"}
_AT_LEAST_ONCE = {"status", "enabled", "reported", "viewer", "window", "demographics"}
_PARAMETERS = {
    "prefix": {"description": "mqtt.prefix; may have several levels.", "default": "edge-agender"},
    "device": {"description": "device.name"},
    "discovery_prefix": {"description": "home_assistant.prefix", "default": "homeassistant"},
    "id": {"description": "Made of mqtt.prefix and device.name."},
}
_DESCRIPTION = (
    "What edge-agender tells of the audience before a sign, and what it can be told. No message holds a picture, a "
    "place in the picture or an identity. A later release may add fields: ignore those that you do not know. A "
    "changed meaning is a new version of that message. docs/messages.md defines the measures."
)
_DISCOVERY = (
    "Home Assistant's device discovery, retained; the payload is defined by Home Assistant. Sent where "
    "home_assistant.enabled is true, and again when Home Assistant tells that it has started."
)


def document() -> dict[str, Any]:
    """Return the AsyncAPI document as plain data."""
    schemas: dict[str, Any] = {}
    kinds = {**PAYLOADS, **COMMANDS}
    messages = {kind: _message(kind, payload, schemas) for kind, payload in kinds.items()}
    messages["discovery"] = {"summary": _DISCOVERY, "payload": {"type": "object"}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edge-agender",
            "version": CONTRACT_VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "localhost:1883", "protocol": "mqtt", "description": "Yours: mqtt.host."}},
        "channels": {**{kind: _channel(kind) for kind in kinds}, "discovery": _discovery_channel()},
        "operations": {_name(kind): _operation(kind) for kind in (*kinds, "discovery")},
        "components": {"parameters": _PARAMETERS, "messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def _message(kind: str, payload: type, schemas: dict[str, Any]) -> dict[str, Any]:
    """Describe a message, and put the schemas that it needs into `schemas`."""
    made = TypeAdapter(payload).json_schema(ref_template=_REF)
    schemas.update({name: plain(part) for name, part in made.pop("$defs", {}).items()})
    schemas[payload.__name__] = plain(made)
    summary = " ".join(inspect.cleandoc(payload.__doc__ or "").split())
    return {"name": kind, "summary": summary, "payload": {"$ref": _REF.format(model=payload.__name__)}}


def _channel(kind: str) -> dict[str, Any]:
    return {
        "address": "{prefix}/{device}/" + COMMAND_TOPICS.get(kind, kind),
        "parameters": _parameters("prefix", "device"),
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
    }


def _parameters(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/parameters/{name}"} for name in names}


def _discovery_channel() -> dict[str, Any]:
    return {
        "address": "{discovery_prefix}/device/{id}/config",
        "parameters": _parameters("discovery_prefix", "id"),
        "messages": {"discovery": {"$ref": "#/components/messages/discovery"}},
    }


def _operation(kind: str) -> dict[str, Any]:
    """`send` is what edge-agender publishes, `receive` what it subscribes to."""
    sends = kind not in COMMANDS
    mqtt: dict[str, Any] = {"qos": int(kind in _AT_LEAST_ONCE or kind in COMMANDS or kind == "discovery")}
    if sends:
        mqtt["retain"] = kind in _RETAINED or kind == "discovery"
    return {
        "action": "send" if sends else "receive",
        "channel": {"$ref": f"#/channels/{kind}"},
        "messages": [{"$ref": f"#/channels/{kind}/messages/{kind}"}],
        "bindings": {"mqtt": {**mqtt, "bindingVersion": "0.2.0"}},
    }


def _name(kind: str) -> str:
    return ("receive" if kind in COMMANDS else "send") + kind.title().replace("-", "")
