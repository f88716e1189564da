"""docs/messages.md shows messages as they are."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from edge_agender.config.remote import check_without_device
from edge_agender.config.settings import Config
from edge_agender.messages.contract import PAYLOADS
from edge_agender.messages.inbound import Resend, parse_content, parse_desired, parse_resend
from tests.support.message_check import check
from tests.support.paths import ROOT

DOC = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
SAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOC, re.S)]
MESSAGES = {sample["schema"].removeprefix("edge-agender."): sample for sample in SAMPLES if "schema" in sample}


def test_every_message_is_shown() -> None:
    assert MESSAGES.keys() == PAYLOADS.keys()


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_sample_is_a_message_that_could_be_sent(kind: str) -> None:
    check(json.dumps(MESSAGES[kind]))


def test_the_samples_are_consistent() -> None:
    audience = MESSAGES["frame"]["audience"]
    assert sum(audience["by_gender"].values()) == sum(audience["by_age_band"].values()) == audience["count"]
    assert sum(cell["count"] for cell in audience["cells"]) == audience["count"]
    window = MESSAGES["window"]
    assert sum(window["dwell"]["histogram"].values()) == window["viewers"]
    period = MESSAGES["demographics"]
    cells = sum(cell["viewers"] for cell in period["cells"])
    assert cells + period["withheld"] == period["viewers"] + period["brought_forward"]
    assert window["conversion"] == pytest.approx(window["viewers"] / window["opportunities_to_see"], abs=5e-4)


def test_the_sample_command_is_understood() -> None:
    content, resend, desired = [json.dumps(sample).encode() for sample in SAMPLES if "schema" not in sample]
    assert parse_content(content).id == "spring-sale"
    assert parse_resend(resend) == Resend("window", "9d0dc6166d012353", 40, 44)
    assert parse_desired(desired).revision == 8
    check_without_device(parse_desired(desired).configuration)


OPTIONS = {
    "`audience.hold_s` (0.5 s)": lambda c: c.audience.hold_s == 0.5,
    "`audience.min_gender_confidence` (0.7)": lambda c: c.audience.min_gender_confidence == 0.7,
    "`audience.viewer.min_detections` (3)": lambda c: c.audience.viewer.min_detections == 3,
    "`min_s` (0.5)": lambda c: c.audience.viewer.min_s == 0.5,
    "`min_attention_s` (0.3)": lambda c: c.audience.viewer.min_attention_s == 0.3,
    "`engaged_s` (2.0)": lambda c: c.audience.viewer.engaged_s == 2,
    "`looking.max_yaw_deg` (32)": lambda c: c.audience.looking.max_yaw_deg == 32,
    "`max_pitch_deg` (35)": lambda c: c.audience.looking.max_pitch_deg == 35,
    "`hysteresis_deg` (2)": lambda c: c.audience.looking.hysteresis_deg == 2,
    "`tracking.max_gap_s` (1.5 s)": lambda c: c.tracking.max_gap_s == 1.5,
    "`tracking.picture_after_s` (25 s)": lambda c: c.tracking.picture_after_s == 25,
    "`rejoin_s` (10 s)": lambda c: c.tracking.rejoin_s == 10,
    "`audience.looking.max_gap_s` (0.6 s)": lambda c: c.audience.looking.max_gap_s == 0.6,
    "`looking.starts_at` (0.42)": lambda c: c.audience.looking.starts_at == 0.42,
    "`ends_at` (0.38)": lambda c: c.audience.looking.ends_at == 0.38,
    "`distance.face_height_cm` (20)": lambda c: c.audience.distance.face_height_cm == 20,
    "`privacy.min_cell` (k = 5)": lambda c: c.privacy.min_cell == 5,
}


@pytest.mark.parametrize("text", OPTIONS)
def test_defaults_in_the_text_are_those_of_the_code(text: str) -> None:
    config: Any = Config()
    assert text in DOC
    assert OPTIONS[text](config)
