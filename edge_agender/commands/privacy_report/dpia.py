"""The draft of a data-protection impact assessment's description (GDPR Art. 35(7)), and whose duties there are."""

from __future__ import annotations

from edge_agender.commands.privacy_report.annex import no_image_proof
from edge_agender.commands.privacy_report.blocks import (
    Document,
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
from edge_agender.commands.privacy_report.sheet import CHANNELS, LEVELS


def dpia(facts: Facts, proof: ProofResult | None, made: str, machine: str) -> Document:
    return Document(
        "dpia",
        f"Draft for a data-protection impact assessment: device {facts.device}",
        (
            text(
                "Made {made} by edge-agender {version} from {origin}. The technical facts come from the "
                "configuration; the data-flow sheet has them in full. What is marked to be filled in or for a "
                "lawyer is not done yet.",
                made=made,
                version=facts.software,
                origin=facts.origin,
            ),
            lawyer("This is a draft of the description, not an assessment, and no legal advice."),
            _needed(),
            _described(facts),
            _necessary(facts),
            _risks(facts),
            no_image_proof(proof, facts, machine),
            _duties(),
            _signed(),
        ),
    )


def _needed() -> Section:
    return section(
        "1 Is an assessment needed?",
        lawyer(
            "GDPR Art. 35(3)(c) asks for one where a publicly accessible area is monitored systematically on a "
            "large scale; national lists (Art. 35(4)) often name audience measurement by camera, or biometric "
            "techniques. Children, employees and new technology count towards it (WP 248). When in doubt, do it."
        ),
        text("Scale: [[number of devices, places, people a day, since when]]."),
    )


def _described(facts: Facts) -> Section:
    config = facts.config
    broker = "this device itself" if facts.broker_is_here else "over the network"
    return section(
        "2 Systematic description (Art. 35(7)(a))",
        table(
            "point | description",
            ("controller, processors", "[[names; contract under Art. 28 with whoever runs the broker or the devices]]"),
            ("purpose", "[[what the figures are used for, and what they are not used for]]"),
            ("place", "[[address, what the camera sees, who passes: customers, passers-by, staff, children]]"),
            (
                "nature",
                say(
                    "{source}. Faces are found, age and gender estimated, visits counted, in the device's memory; "
                    "this software stores and sends no picture and recognises nobody.",
                    source=(facts.source,),
                ),
            ),
            ("what leaves", say(f"privacy level {{level}}: {LEVELS[facts.level]}", level=facts.level)),
            ("small cells", _small_cells(config.privacy.min_cell)),
            (
                "recipient",
                say(
                    f"MQTT broker {{host}}, port {{port}} ({broker}); {CHANNELS[facts.channel]}",
                    host=facts.broker,
                    port=facts.port,
                ),
            ),
            (
                "stored on the device",
                say(
                    "messages not yet acknowledged: at most {hours} hours and {mb} MB; open sums; on or off; a log "
                    "without contents",
                    hours=f"{config.outbox.max_age_h:g}",
                    mb=f"{config.outbox.max_mb:g}",
                ),
            ),
            ("stored by recipients", "[[where, how long, who deletes]]"),
            ("hours", (facts.hours,)),
            (
                "assets",
                say(
                    "the device, models {models}, the broker, [[dashboards, signage player]]",
                    models=", ".join(model.name for model in facts.models),
                ),
            ),
        ),
    )


def _small_cells(min_cell: int) -> Words:
    if min_cell == 1:
        return say("**nothing is rounded** (`privacy.min_cell: 1`)")
    return say("cells are published in multiples of {k} viewers", k=min_cell)


def _necessary(facts: Facts) -> Section:
    less = {
        "aggregate": say("level `aggregate` is the least this software can send"),
        "frame": say("level `aggregate` would send sums only: [[why that is not enough]]"),
        "viewer": say("levels `frame` and `aggregate` would send less: [[why each is not enough]]"),
    }[facts.level]
    return section(
        "3 Necessity and proportionality (Art. 35(7)(b))",
        lawyer(
            "Legal ground (Art. 6): legitimate interests, Art. 6(1)(f), needs a balancing that is written down; "
            "consent is hardly possible at a screen. [[balancing]]"
        ),
        table(
            "principle | how it is met",
            ("purpose limitation, Art. 5(1)(b)", "[[who may read which topic: see the broker's ACL]]"),
            ("data minimisation, Art. 5(1)(c)", less),
            ("a milder means", "[[why counting without age and gender, or asking people, does not do]]"),
            (
                "accuracy, Art. 5(1)(d)",
                "errors by age and group are in the data-flow sheet; figures are for many people, not for one",
            ),
            ("storage limitation, Art. 5(1)(e)", "no picture; see the data-flow sheet for the rest; [[recipients]]"),
            ("transparency, Art. 12 to 14", "the notice for the wall; [[full information]]"),
            ("objection, Art. 21", "[[how; the camera can be closed by a message, a file, a switch or hours]]"),
            ("access, erasure, Art. 15 to 20", "the controller cannot find anybody in the figures (Art. 11)"),
            ("by design and default, Art. 25", "this sheet, the sandboxed unit, suppression of small cells"),
        ),
    )


def _risks(facts: Facts) -> Section:
    follow = (
        say("level `aggregate` sends nothing of a single person")
        if facts.level == "aggregate"
        else say(
            "no identity and no place in the picture in a message; at level {level}, **with few people guesses work**",
            level=facts.level,
        )
    )
    rows: tuple[tuple[str | Words, ...], ...] = (
        ("a picture gets out", "memory only, overwritten, no core dump, no swap, sandbox", "`make prove-no-images`"),
        ("a person is followed through the figures", follow, "`pytest tests/messages/test_build.py`"),
        (
            "a small group is told apart",
            (*_small_cells(facts.config.privacy.min_cell), "; totals are told"),
            "`pytest tests/audience/test_attack.py`",
        ),
        (
            "wrong or unequal estimates by age, gender, skin colour",
            "cards with errors by group; figures are for many people, not for one",
            "`edge-agender evaluate`",
        ),
        (
            "messages are read on the way",
            say(f"the connection is {CHANNELS[facts.channel]}"),
            "`edge-agender check --broker`",
        ),
        (
            "the device or its card is stolen",
            "no picture on it; figures that wait, and the broker's password",
            "[[locked up?]]",
        ),
        (
            "the software or a model is replaced",
            "locked packages, SHA-256 of models, optional signature"
            + (" (**a key is set**)" if facts.config.models.public_key else " (no key is set)"),
            "`pytest tests/inference/test_minisign.py`",
        ),
        (
            "the purpose creeps",
            "the schemas hold what can be sent; a change of options changes this sheet",
            "[[who checks, when]]",
        ),
        ("staff are measured all day", "`source.region`, aim, hours, the switch", "[[works council, agreement]]"),
        ("people feel watched, or avoid the place", "the notice, the switch", "[[assessment]]"),
    )
    found = concerns(facts)
    return section(
        "4 Risks and measures (Art. 35(7)(c) and (d))",
        table("risk | in place | shown by | likelihood and severity", *((*row, "[[assess]]") for row in rows)),
        section("From this configuration", bullets(*found) if found else text("Nothing stands out.")),
    )


def _duties() -> Section:
    return section(
        "5 Duties of who uses it (the deployer)",
        table(
            "duty | where | what this software gives | what is yours",
            (
                "inform the people who are exposed",
                "AI Act Art. 50(3), 50(5); GDPR Art. 13",
                "a draft of the notice",
                "text, place, languages, accessibility",
            ),
            (
                "process personal data by the GDPR",
                "AI Act Art. 50(3); GDPR",
                "this draft, the data-flow sheet",
                "legal ground, records (Art. 30), contracts (Art. 28), rights",
            ),
            (
                "assess the impact",
                "GDPR Art. 35, 36",
                "the description",
                "the assessment; asking the authority if risk stays high",
            ),
            ("people who know what they operate", "AI Act Art. 4", "documentation, model cards", "training them"),
            (
                "do not use it for what is banned",
                "AI Act Art. 5(1)(f), (g)",
                "it derives no emotion and no Art. 9 trait",
                "not adding such a model or use",
            ),
            (
                "if it is high-risk: use by instructions, oversight, logs, telling workers",
                "AI Act Art. 26, 27",
                "documentation, `health` messages",
                "all of it; whoever sells it under their name has the provider's duties (Art. 16, 25)",
            ),
        ),
        lawyer(
            "Is this high-risk? Annex III(1)(b) names biometric categorisation by sensitive or protected "
            "attributes; recital 54 speaks of those of GDPR Art. 9(1), which age and gender are not, yet both are "
            "protected from discrimination (Charter Art. 21). Decide it for your use, and look at Art. 6(3) and at "
            "profiling."
        ),
        lawyer(
            "Dates: Art. 5 since 2 February 2025, Art. 50 from 2 August 2026; those for high-risk systems were "
            "moved by later amendments. Check what is in force on the day."
        ),
    )


def _signed() -> Section:
    return section(
        "6 Advice and decision",
        table(
            "step | result",
            ("advice of the data-protection officer, Art. 35(2)", "[[advice, date]]"),
            ("views of people concerned, Art. 35(9)", "[[how asked, result, or why not]]"),
            ("works council", "[[if staff are in view]]"),
            ("prior consultation, Art. 36", "[[needed or not, why]]"),
            ("decision", "[[name, date, signature]]"),
            ("next review", "[[date; also whenever the configuration, a model or the place changes]]"),
        ),
    )
