from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.privacy import Gate
from edge_agender.config.settings import PrivacyConfig
from edge_agender.messages.discovery import birth_topic, discovery_message, object_id
from edge_agender.messages.inbound import parse_enabled
from edge_agender.messages.sender import Sender
from tests.messages.test_build import EVERY

SENDER = Sender("shop/signs", "lobby", "0123456789abcdef", "0.1.0", {"discovery": 1})

BANDS = AgeBands((25, 35)).known

# From Home Assistant's documentation of its MQTT integration: what each platform must have and may have.
ENTITY = {"platform", "unique_id", "name", "icon", "entity_category", "device_class", "state_topic", "value_template"}
ENTITY |= {"availability", "availability_mode"}
NEEDS = {"sensor": {"state_topic"}, "binary_sensor": {"state_topic"}, "switch": {"command_topic"}}
ALLOWS = {
    "sensor": ENTITY | {"state_class", "unit_of_measurement"},
    "binary_sensor": ENTITY,
    "switch": ENTITY | {"command_topic", "payload_on", "payload_off", "retain"},
}
UNITS = {"temperature": {"°C"}, "duration": {"s", "ms"}, "data_size": {"MB"}, None: None}
CATEGORIES = {"sensor": {"diagnostic"}, "binary_sensor": {"diagnostic"}, "switch": {"config"}}


def gate(level: str = "frame") -> Gate:
    return Gate(PrivacyConfig.model_validate({"level": level}))


def announced(level: str = "frame") -> dict[str, Any]:
    data: dict[str, Any] = json.loads(discovery_message(SENDER, "homeassistant", gate(level), BANDS).payload)
    return data


def entities(level: str = "frame") -> dict[str, dict[str, Any]]:
    return {key: entry for key, entry in announced(level)["components"].items() if len(entry) > 1}


def test_one_retained_message_on_the_topic_that_home_assistant_listens_on() -> None:
    message = discovery_message(SENDER, "homeassistant", gate(), BANDS)
    assert re.fullmatch(r"homeassistant/device/lobby/[a-zA-Z0-9_-]+/config", message.topic)
    assert (message.retain, message.qos, message.kind) == (True, 1, "discovery")
    assert birth_topic("homeassistant") == "homeassistant/status"


def test_it_names_the_device_and_its_origin() -> None:
    data = announced()
    assert data["device"]["identifiers"] == [object_id(SENDER)]
    assert data["origin"]["name"] == "edge-agender"
    assert data["availability"][0]["topic"] == "shop/signs/lobby/status"


@pytest.mark.parametrize("key", entities())
def test_every_entity_keeps_to_its_platforms_rules(key: str) -> None:
    entry = entities()[key]
    platform = entry["platform"]
    assert NEEDS[platform] | {"platform", "unique_id", "name"} <= entry.keys() <= ALLOWS[platform]
    assert entry.get("entity_category", "diagnostic" if platform != "switch" else "config") in CATEGORIES[platform]
    if platform == "sensor":
        allowed = UNITS[entry.get("device_class")]
        assert allowed is None or entry["unit_of_measurement"] in allowed


def rendered(template: str, value_json: dict[str, Any]) -> str:
    """As Home Assistant makes it."""
    return ImmutableSandboxedEnvironment().from_string(template).render(value_json=value_json)


def available(entry: dict[str, Any], **said: dict[str, Any]) -> bool:
    """Whether Home Assistant shows the entity, by the templates that it was given; `said` by kind of message."""
    shared = {"availability": announced()["availability"], "availability_mode": "latest"} | entry
    kinds = [each["topic"].rpartition("/")[2] for each in shared["availability"]]
    assert len(kinds) == 1 or shared["availability_mode"] == "all"
    answers = [
        rendered(each["value_template"], said[kind]) for kind, each in zip(kinds, shared["availability"], strict=True)
    ]
    return answers == ["online"] * len(answers)


ONLINE, SWITCHED_ON = {"state": "online", "source": "ok"}, {"measuring": True}


@pytest.mark.parametrize(
    ("status", "enabled", "figures", "others"),
    [
        (ONLINE, SWITCHED_ON, True, True),
        (ONLINE, {"measuring": False}, False, True),
        (ONLINE | {"source": "off"}, {"measuring": False}, False, True),
        (ONLINE | {"source": "missing"}, SWITCHED_ON, False, True),
        (ONLINE | {"source": "frozen"}, SWITCHED_ON, False, True),
        (ONLINE | {"source": "starting"}, SWITCHED_ON, False, True),
        ({"state": "stopped", "source": None}, SWITCHED_ON, False, False),
        ({"state": "offline", "source": None}, SWITCHED_ON, False, False),
    ],
)
def test_figures_are_unavailable_while_nothing_is_measured(
    status: dict[str, Any], enabled: dict[str, Any], figures: bool, others: bool
) -> None:
    """Home Assistant would show three people all night where the camera was closed before three people."""
    entries = entities()
    for key in ("people", "women", "men", "mean_age", "viewers", "opportunities", "engaged", "dwell", "attention"):
        assert available(entries[key], status=status, enabled=enabled) is figures, key
    for key in ("enabled", "measuring", "temperature", "waiting", "alarm"):
        assert available(entries[key], status=status, enabled=enabled) is others, key


def cells(**viewers: int) -> dict[str, Any]:
    """What is read of a demographics message with these cells, by gender and band."""
    split = [(*key.split("_", 1), count) for key, count in viewers.items()]
    return {
        "cells": [{"gender": g, "age_band": b.replace("to", "-"), "viewers": n} for g, b, n in split],
        "viewers": 23,
    }


def shown(key: str, said: dict[str, Any]) -> str:
    return rendered(entities()[key]["value_template"], said)


@pytest.mark.parametrize("level", ["aggregate", "frame", "viewer"])
def test_shares_of_the_last_period_are_those_of_what_is_published(level: str) -> None:
    period = cells(female_0to24=5, male_0to24=0, female_25to34=10, male_25to34=5)
    keys = [key for key in entities(level) if key.endswith("_share")]
    assert keys == ["women_share", "men_share", "age_0-24_share", "age_25-34_share", "age_35-and-over_share"]
    assert [float(shown(key, period)) for key in keys] == [75, 25, 25, 75, 0]
    assert shown("period_viewers", period) == "23"


def test_shares_are_unavailable_where_all_is_withheld() -> None:
    entries, nothing = entities(), cells(female_0to24=0, male_0to24=0)
    for key in [key for key in entries if key.endswith("_share")]:
        assert not available(entries[key], status=ONLINE, demographics=nothing)
        assert available(entries[key], status=ONLINE, demographics=cells(female_0to24=5))
        assert shown(key, nothing) == "None"
    assert available(entries["period_viewers"], status=ONLINE, demographics=nothing)


def test_engaged_is_a_rate_and_unknown_where_it_is_withheld() -> None:
    assert float(shown("engaged", {"engaged": 3, "length_s": 120})) == 1.5
    assert shown("engaged", {"engaged": None, "length_s": 120}) == "None"


def test_unique_ids_are_unique_also_among_devices() -> None:
    ids = [entry["unique_id"] for entry in entities().values()]
    assert len(set(ids)) == len(ids)
    assert object_id(SENDER) != object_id(Sender("shop", "signs-lobby", "0" * 16, "0.1.0", {}))
    assert object_id(SENDER) == object_id(Sender("shop/signs", "lobby", "1" * 16, "0.2.0", {}))


@pytest.mark.parametrize("key", entities())
def test_every_value_is_in_the_message_that_it_is_read_from(key: str) -> None:
    entry = entities()[key]
    kind = entry["state_topic"].rsplit("/", 1)[1]
    data = json.loads(EVERY[kind].payload)
    paths = re.findall(r"value_json\.([a-z0-9_.]+)", entry["value_template"])
    assert paths
    for path in paths:
        node = data
        for part in path.split("."):
            assert part in node, path
            node = node[part]


def test_what_is_wrong_is_said_in_words_that_fit_a_state() -> None:
    trouble = entities()["trouble"]
    assert trouble["state_topic"].endswith("/health")
    health = {"alarms": ["no camera: plug it in", "hot"], "alarms_since": ["2026-11-29T14:05:00Z"]}
    said = rendered(trouble["value_template"], health)
    assert said == "no camera: plug it in (since 2026-11-29 14:05 UTC); hot"
    assert rendered(trouble["value_template"], {"alarms": [], "alarms_since": []}) == "none"
    assert len(rendered(trouble["value_template"], {"alarms": ["x" * 300]})) == 250


def test_home_assistants_switch_speaks_our_command() -> None:
    switch = entities()["enabled"]
    assert switch["command_topic"] == "shop/signs/lobby/enabled/set"
    assert parse_enabled(switch["payload_on"].encode()) is True
    assert parse_enabled(switch["payload_off"].encode()) is False


def test_what_is_not_released_is_not_announced_and_removed_where_it_was() -> None:
    assert {"people", "women", "men", "mean_age"} <= entities("frame").keys()
    assert not {"people", "women", "men", "mean_age"} & entities("aggregate").keys()
    assert announced("aggregate")["components"]["people"] == {"platform": "sensor"}


@pytest.mark.parametrize("level", ["aggregate", "frame", "viewer"])
def test_home_assistants_own_schemas_take_it(level: str) -> None:
    schemas = pytest.importorskip("homeassistant.components.mqtt.schemas", reason="needs pip install homeassistant")
    from homeassistant.components.mqtt import binary_sensor, sensor, switch
    from homeassistant.core import HomeAssistant

    async def check() -> None:
        HomeAssistant("/tmp")
        schemas.DEVICE_DISCOVERY_SCHEMA(announced(level))
        platforms = {"sensor": sensor, "binary_sensor": binary_sensor, "switch": switch}
        shared = {key: announced(level)[key] for key in ("device", "availability")}
        for entry in entities(level).values():
            platform = platforms[entry.pop("platform")]
            platform.DISCOVERY_SCHEMA({**shared, **entry})

    asyncio.run(check())
