"""What in a configuration somebody who answers for it should look at, and which option changes it."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agender.commands.privacy_report.blocks import Words, say
from edge_agender.commands.privacy_report.facts import Facts

# The product's default. Statistical offices use 3 to 10.
USUAL_MIN_CELL = 5
USUAL_WINDOW_S = 60
ADULT_YEARS = 18


def concerns(facts: Facts) -> list[Words]:
    """Return one text a concern; an option that is as careful as it can be gives none."""
    return [*_transport(facts), *_detail(facts), *_page(facts), *_fleet(facts), *_switches(facts), *_models(facts)]


def _transport(facts: Facts) -> Iterator[Words]:
    mqtt = facts.config.mqtt
    if facts.channel == "no TLS" and not facts.broker_is_here:
        yield say(
            "Messages go to {host} **without TLS**: whoever is on that network can read and change them. Set "
            "`mqtt.tls.enabled` or `mqtt.tls.ca_file`.",
            host=facts.broker,
        )
    if facts.channel == "unchecked TLS":
        yield say("The broker's certificate is **not checked** (`mqtt.tls.insecure`): anybody may pose as the broker.")
    if not (facts.broker_is_here or mqtt.username or mqtt.tls.certificate_file):
        yield say(
            "The device shows the broker neither user name nor certificate, so the broker cannot tell who may read "
            "what."
        )
    if facts.config.home_assistant.enabled:
        yield say("Home Assistant is told of the device and keeps its own history: its retention is for you to set.")


def _detail(facts: Facts) -> Iterator[Words]:
    config = facts.config
    if facts.level != "aggregate":
        yield say(
            "Level {level}: the estimates for each face leave the device. With few people in view, a subscriber "
            "can guess which of them belong to the same person. Where sums are enough, set `privacy.level: "
            "aggregate`.",
            level=facts.level,
        )
    if facts.level == "viewer":
        yield say("Level `viewer`: one message for each visit, with its minute, length, age and gender.")
    if facts.kind("frame") and config.outbox.frames_durable:
        yield say(
            "`outbox.frames_durable`: the messages of single pictures are kept on this device over an outage, up "
            "to {hours} hours.",
            hours=f"{config.outbox.max_age_h:g}",
        )
    if config.privacy.min_cell < USUAL_MIN_CELL:
        yield say(
            "Cells are published in multiples of {k} viewers; the product's default is 5. Set `privacy.min_cell`.",
            k=config.privacy.min_cell,
        )
    if config.window.length_s < USUAL_WINDOW_S:
        yield say("Windows of {s} seconds hold few people each. Set `window.length_s`.", s=config.window.length_s)
    if min(config.audience.age_bands, default=ADULT_YEARS) < ADULT_YEARS:
        yield say(
            "There are age bands of minors (`audience.age_bands`): children deserve special care (GDPR recital 38)."
        )


def _page(facts: Facts) -> Iterator[Words]:
    if facts.web == "the network":
        yield say(
            "The status page can be reached from the network, by plain HTTP: its password crosses the network too."
        )
    if facts.web != "off" and facts.config.web.aim:
        yield say(
            "The aim view shows, at every privacy level, live where faces stand in the picture (boxes, no "
            "picture). Set `web.aim: false` once the camera is aimed."
        )


def _fleet(facts: Facts) -> Iterator[Words]:
    if facts.config.fleet.remote_config:
        yield say(
            "Whoever runs the fleet may set options **from afar** (`fleet.remote_config`). What bears on privacy can "
            "become stricter than the device's own configuration that way, never looser; where the camera looks, to "
            "whom messages go and how it is switched off cannot be set. `fleet.locked` takes more out of reach."
        )


def _switches(facts: Facts) -> Iterator[Words]:
    schedule = facts.config.schedule
    if facts.networked_camera:
        yield say(
            "The camera sends its **pictures over the network** to this device. That way, and what the camera "
            "itself stores, is outside this software and this sheet."
        )
    if not schedule.hours:
        yield say("It measures around the clock: no opening hours are set (`schedule.hours`).")
    if schedule.off_file is None and schedule.off_pin is None:
        yield say(
            "There is no switch at the device (`schedule.off_file`, `schedule.off_pin`): only a message turns it off."
        )
    if not facts.live:
        yield say("**This configuration watches no camera**: it is a demonstration or a recording.")


def _models(facts: Facts) -> Iterator[Words]:
    for model in facts.models:
        if model.problem:
            yield say("The model {name} cannot be described: {problem}.", name=model.name, problem=model.problem)
        elif model.spec and "research only" in model.spec.licence:
            yield say("The weights of {name} may be used **for research only**: see its terms.", name=model.name)
        if model.spec and not model.card:
            yield say("{name} comes without a card: its errors by group are not known.", name=model.name)
