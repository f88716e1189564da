"""The draft of the notice for the wall: the first layer of what people must be told before they are in view."""

from __future__ import annotations

from edge_agender.commands.privacy_report.blocks import (
    Block,
    Document,
    Section,
    bullets,
    lawyer,
    say,
    section,
    table,
    text,
)
from edge_agender.commands.privacy_report.facts import Facts

TOLD = {
    "aggregate": (
        "Only sums leave this device: how many people looked in {s} seconds, for how long, in which age bands and "
        "genders."
    ),
    "frame": (
        "What leaves this device is numbers: how many people of which gender and age band are in "
        "view, and sums over {s} seconds."
    ),
    "viewer": (
        "What leaves this device is numbers: how many people are in view, the estimated age and gender of each, "
        "for each visit its minute, length, estimated age and gender, and sums over {s} seconds."
    ),
}


def wall_notice(facts: Facts) -> Document:
    return Document(
        "notice",
        "This screen counts its audience",
        (
            text(
                "A camera at this screen finds faces. An **AI system** in it estimates the **age and gender** of "
                "the people before the screen, and counts who looks."
            ),
            bullets(
                "**No picture is stored, sent or shown to anybody.** Each is overwritten within a moment.",
                "**Nobody is recognised**, here or elsewhere. Who comes back is counted as somebody new.",
                "Estimates can be wrong.",
            ),
            text(TOLD[facts.level], s=(str(facts.config.window.length_s),)),
            _details(facts),
            _how_to_use(facts),
        ),
        poster=True,
    )


def _details(facts: Facts) -> Section:
    return section(
        "Who, why, and your rights",
        table(
            "question | answer",
            ("Who is responsible?", "[[name, address, e-mail or telephone]]"),
            ("Data-protection officer", "[[contact, or leave this row out if there is none]]"),
            ("Why?", "[[purpose, such as: to choose what the screen shows and to count its audience]]"),
            (
                "What do the estimates change?",
                "[[such as: which content is shown next; if it is so: no decision about a single person]]",
            ),
            ("On what legal ground?", "[[such as: legitimate interests, GDPR Art. 6(1)(f), and which interests]]"),
            ("When?", say("{hours} [[check, and write it as it is said]]", hours=(facts.hours,))),
            ("Who receives the numbers?", "[[who runs the broker and who reads from it]]"),
            ("How long are they kept?", "[[period, at the receivers too]]"),
            ("I do not want this.", "[[how to object, GDPR Art. 21, and how to pass without being in view]]"),
            ("Where can I complain?", "[[supervisory authority, with its address]]"),
            ("More", "[[address of the full information under GDPR Art. 13, also as a QR code]]"),
        ),
    )


def _how_to_use(facts: Facts) -> Section:
    blocks: tuple[Block, ...] = (
        lawyer(
            "This is a draft of a first layer (GDPR Art. 13; EDPB Guidelines 3/2019, layered information). Have "
            "text, legal ground and recipients checked, and write the second layer."
        ),
        lawyer(
            "EU AI Act (Regulation (EU) 2024/1689), Art. 50(3): who uses a system for biometric categorisation "
            "informs the people who are exposed to it. Art. 50(5): clearly and distinguishably, at the latest at "
            "the first exposure, and accessibly. Whether estimating age and gender falls under it (Art. 3(40)): "
            "assume yes until told otherwise."
        ),
        bullets(
            "Hang it where it is read **before** anybody enters the camera's view, at each way in, at eye height.",
            "Large letters, high contrast, the languages of the place, and a pictogram of a camera; say it also "
            "where it can be heard or felt if the place needs that.",
            "Remove this section from what you hang up.",
        ),
    )
    if facts.networked_camera:
        blocks += (
            lawyer(
                "This camera sends its pictures over the network to the device, and may store them itself: 'no "
                "picture is stored or sent' is true of this software only. Change that sentence, or the camera."
            ),
        )
    return section("Before you hang this up (not part of the notice)", *blocks)
