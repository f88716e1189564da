"""What strangers may write to a topic neither stops the collector nor gets into a sum."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_agender.fleet.intake import MAX_BYTES, read
from edge_agender.fleet.records import Arrival, Durable, Refused, State
from tests.fleet.messages import MIDNIGHT_S, PREFIX, arrival, health, window

TOPIC = f"{PREFIX}/lobby/window"


def raw(payload: bytes, topic: str = TOPIC) -> Any:
    return read(Arrival(topic, payload, 0.0), PREFIX)


def test_a_window_is_read_into_its_rows() -> None:
    found = read(arrival(window(3, viewers=7)), PREFIX)
    assert isinstance(found, Durable)
    assert found.key == ("lobby", "window", "9d0dc6166d012353", 3)
    assert found.start_s == MIDNIGHT_S + 180
    assert found.rows["audience_content"] == [("lobby", MIDNIGHT_S + 180, 3, "spring-sale", 60.0, 7, 28.0, 14.0)]


def test_copies_are_known_by_content_whatever_marks_them_as_late_or_of_another_boot() -> None:
    first = read(arrival(window(3)), PREFIX)
    again = read(arrival(window(0, number=3, boot_id="another-boot", historical=True)), PREFIX)
    other = read(arrival(window(3, viewers=7)), PREFIX)
    assert isinstance(first, Durable)
    assert isinstance(again, Durable)
    assert isinstance(other, Durable)
    assert first.digest == again.digest != other.digest


def test_a_state_is_no_measurement() -> None:
    found = read(arrival(health({"window": 4})), PREFIX)
    assert isinstance(found, State)
    assert found.values["sequences"] == {"window": 4}


@pytest.mark.parametrize("kind", ["frame", "viewer", "content", "enabled/set", "nonsense"])
def test_what_is_not_collected_is_not_looked_at(kind: str) -> None:
    assert raw(b"{}", f"{PREFIX}/lobby/{kind}") is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"device": "lobby"}',
        b" " * (MAX_BYTES + 1),
        json.dumps(window(0, viewers=-1)).encode(),
        json.dumps(window(0, device="other")).encode(),
        json.dumps(window(0, start="yesterday")).encode(),
        json.dumps(window(0, start="9999-99-99T00:00:00Z")).encode(),
        json.dumps(window(0, boot_id="x\x00" + "y" * 20)).encode(),
        json.dumps(window(0, content={"a\x00b": 1})).encode(),
        json.dumps(window(0) | {"sequence": 2**70}).encode(),
        json.dumps(window(0) | {"covered_s": float("nan")}).encode(),
        json.dumps(window(0) | {"covered_s": 1e308}).encode(),
        json.dumps(window(0) | {"version": 2}).encode(),
        json.dumps(window(0) | {"light": "bright"}).encode(),
        json.dumps(window(0) | {"viewers": 3.5}).encode(),
        b'{"device": "\\ud800"}',
    ],
)
def test_what_cannot_be_used_is_refused_in_words(payload: bytes) -> None:
    found = raw(payload)
    assert isinstance(found, Refused)
    assert 3 < len(found.reason) <= 300
    assert "\n" not in found.reason


def test_a_field_of_a_later_release_is_let_pass() -> None:
    assert isinstance(read(arrival(window(0) | {"weather": "rain"}), PREFIX), Durable)
