"""Home Assistant finds the device by itself: one retained config message (MQTT device discovery, since 2024.11)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from edge_agender.audience.privacy import Gate
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender

BIRTH = b"online"

_FRAME = "value_json.audience"
_PER_FRAME: dict[str, dict[str, Any]] = {
    "people": {"name": "People", "value": f"{_FRAME}.count", "icon": "mdi:account-group"},
    "women": {"name": "Women", "value": f"{_FRAME}.by_gender.female", "icon": "mdi:human-female"},
    "men": {"name": "Men", "value": f"{_FRAME}.by_gender.male", "icon": "mdi:human-male"},
    "mean_age": {"name": "Mean age", "value": f"{_FRAME}.mean_age", "icon": "mdi:cake-variant", "unit": "years"},
}
_PER_WINDOW: dict[str, dict[str, Any]] = {
    "viewers": {
        "name": "Viewers a minute",
        "value": "(value_json.viewers * 60 / value_json.length_s) | round(1)",
        "icon": "mdi:eye",
        "unit": "viewers/min",
    },
    "opportunities": {
        "name": "Opportunities to see a minute",
        "value": "(value_json.opportunities_to_see * 60 / value_json.length_s) | round(1)",
        "icon": "mdi:walk",
        "unit": "persons/min",
    },
    "engaged": {
        "name": "Engaged viewers a minute",
        # Null where looks are not measured, or are those of too few.
        "value": "(value_json.engaged * 60 / value_json.length_s) | round(1) if value_json.engaged is number else none",
        "icon": "mdi:eye-check",
        "unit": "viewers/min",
    },
    "dwell": {"name": "Mean dwell", "value": "(value_json.dwell or {}).mean_s", "unit": "s", "class": "duration"},
    "attention": {
        "name": "Mean attention",
        "value": "(value_json.attention or {}).mean_s",
        "unit": "s",
        "class": "duration",
    },
}
_PERIOD_VIEWERS = {"name": "Viewers of the period", "value": "value_json.viewers", "icon": "mdi:account-multiple"}
# What is published of the last period: shares of the cells, since what is withheld may be anybody.
_PUBLISHED = "value_json.cells | sum(attribute='viewers')"
_HEALTH: dict[str, dict[str, Any]] = {
    "fps": {"name": "Frames a second", "value": "value_json.fps", "unit": "fps"},
    "latency": {"name": "Latency", "value": "value_json.latency_p95_ms", "unit": "ms", "class": "duration"},
    "temperature": {"name": "Temperature", "value": "value_json.temperature_c", "unit": "°C", "class": "temperature"},
    "memory": {"name": "Memory", "value": "value_json.memory_mb", "unit": "MB", "class": "data_size"},
    "cpu": {"name": "CPU", "value": "value_json.cpu_percent", "unit": "%"},
    "waiting": {"name": "Messages waiting", "value": "value_json.outbox_waiting"},
}
_TROUBLE = (
    "{% set since = value_json.alarms_since | default([]) %}{% set said = namespace(text='') %}"
    "{% for alarm in value_json.alarms %}{% set said.text = said.text + ('; ' if said.text else '') + alarm %}"
    "{% if since[loop.index0] %}{% set said.text = said.text + ' (since '"
    " + since[loop.index0][:16].replace('T', ' ') + ' UTC)' %}{% endif %}{% endfor %}{{ said.text[:250] or 'none' }}"
)
_PROBLEMS: dict[str, dict[str, Any]] = {
    "throttled": {"name": "Throttled", "value": "value_json.throttled"},
    "alarm": {"name": "Alarm", "value": "value_json.alarms | length > 0"},
}


def discovery_message(sender: Sender, prefix: str, gate: Gate, bands: Sequence[str]) -> Message:
    """Announce the device under Home Assistant's discovery prefix, with what the privacy level releases.

    `bands` are the age bands of the demographics. What the level does not release is announced without content, which
    removes it where it was announced before.
    """
    id_ = object_id(sender)
    payload = {
        "device": {
            "identifiers": [id_],
            "name": sender.device,
            "manufacturer": "edge-agender",
            "model": "audience counter",
            "sw_version": sender.software,
        },
        "origin": {"name": "edge-agender", "sw_version": sender.software},
        "availability": [_available(sender, "status", "value_json.state == 'online'")],
        "components": _components(sender, id_, gate, bands),
    }
    # Built for Home Assistant's topic, not for one of ours.
    made = sender.message("discovery", payload, retain=True)
    return Message(made.kind, config_topic(sender, prefix), made.payload, made.qos, made.retain)


def config_topic(sender: Sender, prefix: str) -> str:
    """Below the device's own name, so that an ACL can limit each device to announcing itself."""
    return f"{prefix}/device/{_plain(sender.device)}/{object_id(sender)}/config"


def birth_topic(prefix: str) -> str:
    """Where Home Assistant tells that it has started: announce the device again when the payload is BIRTH."""
    return f"{prefix}/status"


def object_id(sender: Sender) -> str:
    """Return what Home Assistant knows the device by: letters, digits, _ and - only, and unique on the broker."""
    name = f"{sender.prefix}/{sender.device}"
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{_plain(name)}-{mark}"


def _plain(name: str) -> str:
    """What Home Assistant takes in a topic."""
    return re.sub(r"[^a-zA-Z0-9_-]", "-", name)


def _components(sender: Sender, id_: str, gate: Gate, bands: Sequence[str]) -> dict[str, dict[str, Any]]:
    measuring = _measuring(sender)
    components = {key: {**_sensor(sender, "window", entry), **measuring} for key, entry in _PER_WINDOW.items()}
    components |= _of_the_period(sender, bands)
    components |= {key: _sensor(sender, "health", entry, diagnostic=True) for key, entry in _HEALTH.items()}
    components |= {key: _problem(sender, entry) for key, entry in _PROBLEMS.items()}
    components["trouble"] = _trouble(sender)
    components["enabled"] = _switch(sender)
    components["measuring"] = {
        "platform": "binary_sensor",
        "name": "Measuring",
        "device_class": "running",
        "state_topic": sender.topic("enabled"),
        "value_template": _on_off("value_json.measuring"),
    }
    components = {key: {**entry, "unique_id": f"{id_}-{key}"} for key, entry in components.items()}
    for key, entry in _PER_FRAME.items():
        told = {**_sensor(sender, "frame", entry), **measuring, "unique_id": f"{id_}-{key}"}
        components[key] = told if gate.releases_frames else {"platform": "sensor"}
    return components


def _of_the_period(sender: Sender, bands: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Who the viewers of the last period were, in shares; unavailable while nothing of it is published."""
    parts = {
        "women_share": {"name": "Women among viewers", "icon": "mdi:human-female", "where": ("gender", "female")},
        "men_share": {"name": "Men among viewers", "icon": "mdi:human-male", "where": ("gender", "male")},
    }
    for band in bands:
        where = ("age_band", band)
        key = _plain(band.replace("+", "-and-over"))
        parts[f"age_{key}_share"] = {
            "name": f"Viewers aged {band}",
            "icon": "mdi:cake-variant",
            "where": where,
        }
    shown = {
        "availability_mode": "all",
        "availability": [
            _available(sender, "status", "value_json.state == 'online'"),
            _available(sender, "demographics", f"({_PUBLISHED}) > 0"),
        ],
    }
    components = {"period_viewers": _sensor(sender, "demographics", _PERIOD_VIEWERS)}
    for key, part in parts.items():
        field, value = part["where"]
        of_part = f"value_json.cells | selectattr('{field}', 'eq', '{value}') | sum(attribute='viewers')"
        share = f"(100 * ({of_part}) / ({_PUBLISHED})) | round if ({_PUBLISHED}) > 0 else none"
        entry = {"name": part["name"], "icon": part["icon"], "value": share, "unit": "%"}
        components[key] = {**_sensor(sender, "demographics", entry), **shown}
    return components


def _available(sender: Sender, kind: str, condition: str) -> dict[str, str]:
    return {
        "topic": sender.topic(kind),
        "value_template": "{{ 'online' if " + condition + " else 'offline' }}",
    }


def _measuring(sender: Sender) -> dict[str, Any]:
    """What figures of people need to be true: a daemon that sees its source, and may."""
    return {
        "availability_mode": "all",
        "availability": [
            _available(sender, "status", "value_json.state == 'online' and value_json.source == 'ok'"),
            _available(sender, "enabled", "value_json.measuring"),
        ],
    }


def _sensor(sender: Sender, kind: str, entry: Mapping[str, Any], *, diagnostic: bool = False) -> dict[str, Any]:
    config = {
        "platform": "sensor",
        "name": entry["name"],
        "state_topic": sender.topic(kind),
        "value_template": "{{ " + entry["value"] + " }}",
        "state_class": "measurement",
        "unit_of_measurement": entry.get("unit"),
        "device_class": entry.get("class"),
        "icon": entry.get("icon"),
        "entity_category": "diagnostic" if diagnostic else None,
    }
    return {key: value for key, value in config.items() if value is not None}


def _problem(sender: Sender, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "name": entry["name"],
        "device_class": "problem",
        "state_topic": sender.topic("health"),
        "value_template": _on_off(entry["value"]),
        "entity_category": "diagnostic",
    }


def _trouble(sender: Sender) -> dict[str, Any]:
    """What is wrong in words and since when, such as a camera that is missing."""
    return {
        "platform": "sensor",
        "name": "Trouble",
        "icon": "mdi:alert-circle-outline",
        "state_topic": sender.topic("health"),
        # A state holds 255 characters at most.
        "value_template": _TROUBLE,
        "entity_category": "diagnostic",
    }


def _switch(sender: Sender) -> dict[str, Any]:
    return {
        "platform": "switch",
        "name": "Enabled",
        "icon": "mdi:camera",
        "state_topic": sender.topic("enabled"),
        "value_template": _on_off("value_json.enabled"),
        "command_topic": sender.topic("enabled/set"),
        "payload_on": "ON",
        "payload_off": "OFF",
        # A device that is off the network must learn of it when it returns.
        "retain": True,
        "entity_category": "config",
    }


def _on_off(value: str) -> str:
    return "{{ 'ON' if " + value + " else 'OFF' }}"
