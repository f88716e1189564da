"""The data-flow sheet: what enters, what is computed, what leaves to whom, what is kept, how wrong it is, the proof."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_agender.commands.privacy_report.annex import models, no_image_proof
from edge_agender.commands.privacy_report.blocks import (
    Block,
    Document,
    Paragraph,
    Section,
    Words,
    bullets,
    lawyer,
    say,
    section,
    table,
    text,
)
from edge_agender.commands.privacy_report.concerns import concerns
from edge_agender.commands.privacy_report.facts import Facts
from edge_agender.commands.privacy_report.proof import ProofResult
from edge_agender.messages import schemas

CHANNELS = {
    "checked TLS": "encrypted (TLS 1.2 or newer), and the broker's certificate is checked",
    "unchecked TLS": "encrypted (TLS), but **the broker's certificate is not checked**",
    "no TLS": "**not encrypted**",
}
LEVELS = {
    "aggregate": "sums over windows of time only; nothing of a single person",
    "frame": "sums over windows of time, and how many of which gender and age band are in view at each moment",
    "viewer": "sums over windows of time, the estimates for those in view at each moment, and one message for each "
    "visit",
}


def data_sheet(facts: Facts, proof: ProofResult | None, made: str, machine: str) -> Document:
    return Document(
        "data-flow",
        f"Data-flow sheet: audience measurement, device {facts.device}",
        (
            *_head(facts, made),
            _look_at(facts),
            _enters(facts),
            _computed(facts),
            _leaves(facts),
            _fields(facts),
            _not_processed(),
            _kept(facts),
            no_image_proof(proof, facts, machine),
            models(facts),
        ),
    )


def _head(facts: Facts, made: str) -> Iterator[Block]:
    yield text(
        "Made {made} by edge-agender {software} from {origin}. It describes this configuration; a configuration "
        "that is changed needs a new sheet.",
        made=made,
        software=facts.software,
        origin=facts.origin,
    )
    yield text(
        "Window messages of a service that runs with the same source, models and measures carry "
        "`versions.configuration` = {fingerprint}.",
        fingerprint=facts.fingerprint,
    )
    yield text("Privacy level {level}: {means}.", level=facts.level, means=say(LEVELS[facts.level]))


def _look_at(facts: Facts) -> Section:
    found = concerns(facts)
    body = bullets(*found) if found else text("Nothing in this configuration stands out.")
    return section("What to look at", body)


def _enters(facts: Facts) -> Section:
    source = facts.config.source
    region = source.region
    whole = (region.x, region.y, region.width, region.height) == (0, 0, 1, 1)
    share = f"{100 * region.width:.0f} % of its width, {100 * region.height:.0f} % of its height"
    part = "all of it" if whole else share
    return section(
        "What enters",
        table(
            "what | how",
            ("pictures", (facts.source,)),
            ("the part of the picture that counts", (part,)),
            ("when", (facts.hours,)),
            ("what closes the camera", _off(facts)),
            ("commands", say("{topic} (on or off), {content} (which content the sign shows)", **_commands(facts))),
        ),
        text("There is no microphone, and nothing is read of people's phones or cards."),
    )


def _commands(facts: Facts) -> dict[str, str]:
    base = f"{facts.config.mqtt.prefix}/{facts.device}"
    return {"topic": f"{base}/enabled/set", "content": f"{base}/content"}


def _off(facts: Facts) -> Words:
    schedule = facts.config.schedule
    words: Words = say("the message `off` to {topic}", topic=_commands(facts)["topic"])
    if schedule.off_file:
        words += say("; the file {file} on the device", file=schedule.off_file)
    if schedule.off_pin is not None:
        words += say("; a switch at GPIO line {pin} of {chip}", pin=schedule.off_pin, chip=schedule.off_pin_chip)
    if schedule.hours:
        words += say("; the end of the opening hours")
    return words


def _computed(facts: Facts) -> Section:
    audience, tracking = facts.config.audience, facts.config.tracking
    estimator = facts.models[-1].name
    remembered_s = tracking.max_gap_s + tracking.rejoin_s
    return section(
        "What is computed, in memory",
        table(
            "step | result | gone after",
            ("find faces", say("boxes in the picture, by {name}", name=facts.models[0].name), "one picture"),
            ("cut and judge faces", say("age in years, its spread, gender, by {name}", name=estimator), "one picture"),
            (
                "follow faces",
                "which box of this picture continues which of the last, by place and speed; not by looks",
                say(
                    "{s} seconds out of view, or the end of the process",
                    s=f"{remembered_s:g}",
                ),
            ),
            ("look at the sign", "whether the head faces the screen; no gaze, no emotion", "the visit"),
            ("count", "sums: people, seconds, glances, age bands, genders", "told, and the window over"),
        ),
        text(
            "Age bands: {bands}. A gender less certain than {least} is published as `unknown`.",
            bands=", ".join(facts.bands),
            least=f"{audience.min_gender_confidence:g}",
        ),
    )


def _leaves(facts: Facts) -> Section:
    config = facts.config
    rows = [
        (
            say(f"**{kind.name}**" if kind.people else kind.name),
            say("{topic}", topic=kind.topic),
            say(kind.when),
            say("{qos}", qos=kind.qos),
            say("; ".join(_handling(kind.kept, kind.retained))),
        )
        for kind in facts.kinds
    ]
    here = " (this device itself)" if facts.broker_is_here else ""
    return section(
        "What leaves, and to whom",
        text(
            f"To the MQTT broker {{host}}{here}, port {{port}}; the connection is {CHANNELS[facts.channel]}.",
            host=facts.broker,
            port=facts.port,
        ),
        table("message | topic | when | QoS | handling", *rows),
        text("Those in bold tell of people. The others tell of the device."),
        text(
            "The table of gender and age bands is published in multiples of {k} viewers, the remainder in the next "
            "period: no cell of fewer than {k} can be reconstructed. At level `aggregate`, a window with fewer than "
            "{k} viewers holds counts and no seconds; at the other levels it shows the seconds of a single viewer.",
            k=config.privacy.min_cell,
        )
        if config.privacy.min_cell > 1
        else text(
            "**Nothing is rounded** (`privacy.min_cell: 1`): a period with one viewer shows that viewer's age band "
            "and gender."
        ),
        _web(facts),
    )


def _handling(kept: bool, retained: bool) -> Iterator[str]:
    if kept:
        yield "kept on this device until the broker has it"
    if retained:
        yield "the broker keeps the last one (retained)"
    if not (kept or retained):
        yield "lost if the broker is away"


def _web(facts: Facts) -> Paragraph:
    web = facts.config.web
    if facts.web == "off":
        return text("There is no status page (`web.enabled: false`).")
    lock = "with a password" if web.password_file else "without a password"
    aim = "; its aim view shows live where faces stand, as boxes on an empty background" if web.aim else ""
    return text(
        f"The status page, for {facts.web} (port {{port}}, plain HTTP, {lock}), shows released figures{aim}. The "
        f"service's credentials may add a password. Nothing of it is stored.",
        port=web.port,
    )


def _fields(facts: Facts) -> Section:
    tables = [
        section(kind.name, table("field | meaning", *_field_rows(schemas.load(kind.name))))
        for kind in facts.kinds
        if kind.people
    ]
    return section(
        "Every field that tells of people",
        text(
            "From the schemas that every message is checked against (`edge_agender/messages/schemas/`); "
            "there is no other field."
        ),
        *tables,
    )


def _field_rows(schema: dict[str, Any]) -> Iterator[tuple[Words, Words]]:
    for path, node in fields(schema, schema):
        yield say("{path}", path=path), (_meaning(node),)


def _meaning(node: dict[str, Any]) -> str:
    """Return the description, else what values there may be."""
    if told := node.get("description"):
        return str(told)
    if "const" in node:
        return f"always {node['const']}"
    if "enum" in node:
        return f"one of {', '.join(map(str, node['enum']))}"
    kinds = [node, *node.get("anyOf", ())]
    names = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}
    return next((names[kind["type"]] for kind in kinds if kind.get("type") in names), "")


def fields(node: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each value of a JSON Schema as its dotted path and its own part of the schema."""
    described = node
    parts = [node, *node.get("anyOf", ())]
    if "items" in node:
        parts.append(node["items"])
        path += "[]"
    for part in parts:
        inner = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        if "properties" in inner:
            for name, child in inner["properties"].items():
                yield from fields(child, schema, f"{path}.{name}" if path else name)
            return
    yield path, described


def _not_processed() -> Section:
    return section(
        "What is not processed",
        bullets(
            "No picture, crop or film is stored, sent or shown: pictures are overwritten when their frame is done.",
            "No face is recognised: no template or embedding is kept, and there is no list of people to compare with.",
            "Nobody is known again: who leaves and returns is somebody new, and identities die with the process.",
            "No emotion, ethnicity, health, name, phone or card is derived or read.",
            "No message carries where in the picture somebody stood, or a number by which visits could be joined; "
            "a visit (level `viewer`) says near, mid or far.",
            "Nothing goes to the makers of this software or to a cloud: there is no destination but the broker above.",
        ),
        lawyer(
            "Faces are in memory for a fraction of a second. Assume that this is processing of personal data (GDPR "
            "Art. 4(1), 4(2)) even though nothing of it is kept. Whether it is processing of biometric data 'for "
            "the purpose of uniquely identifying' (Art. 9(1)) was answered with no for a like case by the EDPB "
            "(Guidelines 3/2019 on video devices, the example of a shop that estimates gender and age): check this "
            "for your country and your case."
        ),
    )


def _from_afar(facts: Facts) -> list[tuple[str, str, str]]:
    if not facts.config.fleet.remote_config:
        return []
    return [("what the fleet has set from afar", "disk: `remote.json`", "until taken back")]


def _kept(facts: Facts) -> Section:
    config = facts.config
    limits = say(
        "until acknowledged; at most {hours} hours and {mb} MB, then the oldest are dropped",
        hours=f"{config.outbox.max_age_h:g}",
        mb=f"{config.outbox.max_mb:g}",
    )
    waiting = ", ".join(kind.name for kind in facts.kinds if kind.kept)
    gap = f"{config.tracking.max_gap_s + config.tracking.rejoin_s:g}"
    return section(
        "What is stored where, and how long",
        table(
            "what | where | how long",
            (say("messages not yet taken by the broker ({kinds})", kinds=waiting), "disk: `outbox.sqlite3`", limits),
            (
                "what could not be read of a damaged store",
                "disk: `outbox.sqlite3.damaged-...`",
                "until the next two are damaged, or somebody removes it",
            ),
            (
                "sums of the windows that are still open, **small cells among them**",
                "disk: `windows.json`",
                say(
                    "until told, {s} s and some after the window's end; while switched off, until the next start", s=gap
                ),
            ),
            ("the remote switch: on or off", "disk: `enabled.json`", "until set again"),
            *_from_afar(facts),
            (
                "the log: states and troubles, no contents of messages",
                say("the system's journal, level {level}", level=config.log.level),
                "[[how long the journal is kept: see journald.conf]]",
            ),
            ("the configuration and passwords", "disk: `/etc/edge-agender`, `/etc/credstore`", "until removed"),
            (
                "messages that wait for the connection and are not for the disk",
                "memory",
                say("{s} seconds, {n} messages", s=f"{config.outbox.live_max_age_s:g}", n=config.outbox.live_messages),
            ),
            ("pictures, faces", "memory, locked against swapping under the service's unit", "one picture"),
            ("tracks", "memory", say("{s} seconds after leaving; the end of the process", s=gap)),
            ("what the broker and its subscribers keep", "[[who, where]]", "[[how long]]"),
        ),
        text(
            "The folder of the state on disk: {store}. Deleting from a memory card is not erasing: old blocks stay "
            "until they are written again. Destroy or wipe a card that leaves your hands.",
            store=facts.store,
        ),
    )
