from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge_agender.audience.counting import FrameCounter
from edge_agender.audience.measures import (
    Attention,
    CellKey,
    ContentShare,
    ContentWindow,
    Demographics,
    Person,
    Stays,
    Viewer,
    Window,
)
from edge_agender.audience.privacy import Gate
from edge_agender.config.audience import AudienceConfig
from edge_agender.config.settings import PrivacyConfig
from edge_agender.device.health import Alarm, HealthSample
from edge_agender.device.switch import SwitchState
from edge_agender.imaging.geometry import Box
from edge_agender.messages import build as messages
from edge_agender.messages.contract import PAYLOADS, VersionsPayload
from edge_agender.messages.message import Message
from edge_agender.vision.faces import Estimate, Face
from tests.support.message_check import check
from tests.support.visits import NOON_S

SENDER = messages.Sender("shop/signs", "lobby", "0123456789abcdef", "0.1.0", {"status": 1, "window": 1})
VERSIONS: VersionsPayload = {"software": "0.1.0", "detector": "d 1", "estimator": "e 2", "configuration": "abc"}
SOMEBODY = Person(34.16, 5.04, "female", 0.934)
SHARE = ContentShare("spring-sale", 3.21, 1.0)
PERIOD = Demographics(
    number=3,
    start_utc_s=NOON_S,
    length_s=3600,
    historical=False,
    covered_s=3599.96,
    viewers=8,
    brought_forward=4,
    withheld=2,
    min_cell=5,
    cells=((CellKey(None, "female", "25-34"), 10, 2.94), (CellKey(None, "male", "25-34"), 0, 2.04)),
)
WINDOW = Window(
    number=4711,
    start_utc_s=NOON_S,
    length_s=60,
    historical=False,
    covered_s=59.96,
    opportunities_to_see=12,
    viewers=8,
    dwell=Stays(40.04, (4, 3, 1, 0, 0)),
    attention=Attention(8, 5, 20.0, 11),
    mean_count=1.234,
    peak_count=3,
    content=(ContentWindow("spring-sale", 30.0, 5, 12.3, 4.5),),
    light=101.4,
    throttled=None,
)


def face(track_id: int, estimate: Estimate | None) -> Face:
    return Face(track_id, Box(1, 2, 30, 40), 0.8, estimate, 0.0, 5, 1.0)


def frame(*estimates: Estimate | None, level: str = "frame") -> Message:
    faces = [face(index, estimate) for index, estimate in enumerate(estimates)]
    view = FrameCounter(AudienceConfig()).view(faces, sequence=7, now_s=1.0, utc_s=NOON_S + 0.0625)
    released = Gate(PrivacyConfig.model_validate({"level": level})).frame(view)
    assert released is not None
    return messages.frame_message(SENDER, released)


REPORT = messages.Report(
    utc_s=NOON_S,
    state="refused",
    desired_revision=8,
    applied_revision=7,
    applied_utc_s=NOON_S - 3600,
    digest="5be01c7ad1f2",
    reasons=["privacy.level: viewer is looser than the device's own file allows: one of frame, aggregate"],
    effective={"privacy.level": "frame", "audience.age_bands": [18, 35], "detector.model": None, "window.length_s": 60},
)
EVERY = {
    "frame": frame(Estimate(30.0, 4.0, 0.9), Estimate(9.0, float("nan"), 0.5), None),
    "status": messages.status_message(SENDER, "online"),
    "health": messages.health_message(
        SENDER, HealthSample(NOON_S, 60.0, fps=14.96, alarms=(Alarm("disk full: free some space", NOON_S - 60),)), 3
    ),
    "enabled": messages.enabled_message(SENDER, SwitchState(True, False, "hours")),
    "reported": messages.reported_message(SENDER, REPORT),
    "viewer": messages.viewer_message(SENDER, Viewer(NOON_S, 4.04, 2.0, 1, SOMEBODY, "mid", (SHARE,)), 0),
    "window": messages.window_message(SENDER, WINDOW, 1, VERSIONS),
    "demographics": messages.demographics_message(SENDER, PERIOD, 2, VERSIONS),
}


def test_every_kind_has_a_message_here() -> None:
    assert EVERY.keys() == PAYLOADS.keys()


@pytest.mark.parametrize("kind", EVERY)
def test_every_message_is_what_its_schema_says_and_nothing_more(kind: str) -> None:
    message = EVERY[kind]
    data = check(message.payload)
    assert list(data)[:4] == ["schema", "version", "device", "boot_id"]
    assert (message.kind, message.topic) == (kind, f"shop/signs/lobby/{kind}")
    assert message.payload == json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("kind", ["viewer", "window", "demographics"])
def test_what_must_not_be_lost_is_durable_and_can_be_marked_late(kind: str) -> None:
    assert EVERY[kind].durable
    assert json.loads(EVERY[kind].payload)["historical"] is False


@pytest.mark.parametrize(
    ("kind", "retained"), [("status", True), ("enabled", True), ("reported", True), ("frame", False), ("window", False)]
)
def test_states_are_retained_and_events_are_not(kind: str, retained: bool) -> None:
    assert EVERY[kind].retain is retained


def test_a_frame_tells_the_audience() -> None:
    estimates = Estimate(41.26, 5.04, 0.05), Estimate(20.0, 4.0, 0.99), Estimate(60.0, 4.0, 0.55), None
    data = check(frame(*estimates).payload)
    assert data["sequence"] == 7
    assert data["captured"] == "2023-11-15T12:00:00.062Z"
    assert data["audience"]["count"] == 4
    assert data["audience"]["by_gender"] == {"female": 1, "male": 1, "unknown": 2}
    assert data["audience"]["by_age_band"] == {
        **dict.fromkeys(("0-12", "13-17", "25-34", "45-54", "65+"), 0),
        **dict.fromkeys(("18-24", "35-44", "55-64", "unknown"), 1),
    }
    assert data["audience"]["mean_age"] == 40
    assert data["audience"]["cells"] == [
        {"gender": "female", "age_band": "18-24", "count": 1},
        {"gender": "male", "age_band": "35-44", "count": 1},
        {"gender": "unknown", "age_band": "55-64", "count": 1},
        {"gender": "unknown", "age_band": "unknown", "count": 1},
    ]
    assert "faces" not in data
    data = check(frame(*estimates, level="viewer").payload)
    assert data["faces"][1] == {"age": {"years": 41.3, "sd": 5.0}, "gender": {"label": "male", "confidence": 0.95}}
    assert data["faces"][2]["gender"] == {"label": "unknown", "confidence": 0.55}
    assert data["faces"][3] == {"age": {"years": None, "sd": None}, "gender": {"label": "unknown", "confidence": None}}


def test_the_order_of_faces_does_not_follow_the_tracks() -> None:
    young, old = Estimate(20.0, 4.0, 0.9), Estimate(60.0, 4.0, 0.9)
    for level in ("frame", "viewer"):
        assert frame(young, old, level=level).payload == frame(old, young, level=level).payload


def test_a_frame_holds_neither_place_nor_identity() -> None:
    keys: set[str] = set()

    def collect(node: object) -> None:
        if isinstance(node, dict):
            keys.update(node)
            [collect(value) for value in node.values()]
        elif isinstance(node, list):
            [collect(value) for value in node]

    collect(json.loads(EVERY["frame"].payload))
    assert not {key for key in keys if any(word in key for word in ("box", "track", "id_", "face_id", "x1", "score"))}


def test_nobody_is_an_audience_too() -> None:
    data = check(frame(level="viewer").payload)
    assert (data["audience"]["count"], data["audience"]["mean_age"], data["faces"]) == (0, None, [])


def test_a_window_tells_its_ratios() -> None:
    data = check(EVERY["window"].payload)
    assert data["conversion"] == 0.667
    assert data["dwell"] == {
        "total_s": 40.0,
        "mean_s": 5.0,
        "histogram": {"0-5": 4, "5-15": 3, "15-30": 1, "30-60": 0, "60+": 0},
    }
    assert data["attention"]["mean_s"] == 2.5
    assert data["engaged"] == 5
    assert data["content"][0]["exposure"] == 0.41
    assert data["start"] == "2023-11-15T12:00:00.000Z"


def test_text_of_any_language_is_kept() -> None:
    sender = messages.Sender("p", "foyer-é", "0123456789abcdef", "0.1.0", {})
    assert check(messages.status_message(sender, "stopped").payload)["device"] == "foyer-é"


def test_no_number_is_no_message() -> None:
    with pytest.raises(ValueError, match="JSON"):
        messages.health_message(SENDER, HealthSample(NOON_S, float("nan")), 0)


def test_what_is_withheld_of_a_window_is_null() -> None:
    few = replace(WINDOW, dwell=None, attention=None, mean_count=None, content=(ContentWindow(None, 9.0, *[None] * 3),))
    data = check(messages.window_message(SENDER, few, 1, VERSIONS).payload)
    assert (data["dwell"], data["attention"], data["engaged"], data["audience"]["mean"]) == (None, None, None, None)
    assert data["content"] == [
        {"id": None, "shown_s": 9.0, "viewers": None, "dwell_s": None, "attention_s": None, "exposure": None}
    ]


def test_demographics_add_up() -> None:
    data = check(EVERY["demographics"].payload)
    cells = sum(cell["viewers"] for cell in data["cells"])
    assert cells + data["withheld"] == data["viewers"] + data["brought_forward"]
    assert data["cells"][0] == {"content": None, "gender": "female", "age_band": "25-34", "viewers": 10, "sd": 2.9}
