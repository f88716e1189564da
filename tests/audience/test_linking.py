"""Can a subscriber of frame messages follow one person from message to message?"""

from __future__ import annotations

import json
import random

import pytest

from edge_agender.audience.counting import FrameCounter
from edge_agender.audience.privacy import Gate
from edge_agender.config.audience import AudienceConfig
from edge_agender.config.settings import PrivacyConfig
from edge_agender.imaging.geometry import Box
from edge_agender.messages.build import frame_message
from edge_agender.messages.sender import Sender
from edge_agender.vision.faces import Estimate, Face
from tests.support.visits import NOON_S

SENDER = Sender("shop", "lobby", "0123456789abcdef", "0.1.0", {})
BOX = Box(0, 0, 80, 100)


def crowd(chance: random.Random, people: int = 6) -> list[Estimate]:
    """Six people of one band and gender, whose running estimates differ: the counts tell nothing of who is who."""
    return [
        Estimate(chance.uniform(25.5, 34.4), chance.uniform(4, 6), chance.uniform(0.9, 0.99)) for _ in range(people)
    ]


def later(estimate: Estimate, chance: random.Random) -> Estimate:
    """A running estimate a moment later: it has hardly moved."""
    return Estimate(estimate.years + chance.gauss(0, 0.05), estimate.years_sd * 0.99, estimate.p_female)


def message(estimates: list[Estimate], level: str) -> dict[str, object]:
    faces = [Face(at, BOX, 0.9, estimate, 0.0, 5, 1.0) for at, estimate in enumerate(estimates)]
    view = FrameCounter(AudienceConfig()).view(faces, sequence=0, now_s=1.0, utc_s=NOON_S)
    released = Gate(PrivacyConfig.model_validate({"level": level})).frame(view)
    assert released is not None
    data: dict[str, object] = json.loads(frame_message(SENDER, released).payload)
    return data


def descriptions(data: dict[str, object]) -> list[str]:
    """Return all that a message says of each person in it, in the order of the message."""
    faces = data.get("faces")
    if isinstance(faces, list):
        return [json.dumps(face) for face in faces]
    audience = data["audience"]
    assert isinstance(audience, dict)
    return [f"{cell['gender']} {cell['age_band']}" for cell in audience["cells"] for _ in range(cell["count"])]


def years_of(text: str) -> float:
    return float(json.loads(text)["age"]["years"]) if text.startswith("{") else 0.0


def linked(level: str, rounds: int = 200) -> float:
    """Return which part of the people an attacker finds again in the next message, by the nearest description."""
    chance, right, guesses = random.Random(5), 0.0, 0
    for _ in range(rounds):
        before = crowd(chance)
        after = [later(each, chance) for each in before]
        first, second = (descriptions(message(each, level)) for each in (before, after))
        # The attacker knows which description of the first message is whose, by having seen them come.
        ranks = sorted(range(len(before)), key=lambda at: before[at].years)
        true_after = sorted(range(len(after)), key=lambda at: after[at].years)
        for place, person in enumerate(ranks):
            off = [abs(years_of(first[place]) - years_of(text)) for text in second]
            best = [at for at, value in enumerate(off) if value == min(off)]
            right += sum(true_after[at] == person for at in best) / len(best)
            guesses += 1
    return right / guesses


def test_at_level_frame_nobody_is_followed_better_than_by_guessing() -> None:
    assert linked("frame") == pytest.approx(1 / 6, abs=0.02)


def test_the_attack_follows_who_is_listed() -> None:
    assert linked("viewer") > 0.9
