"""The shape of every message: the one definition from which types, JSON Schemas and asyncapi.yaml are made.

Adding a field is allowed; renaming, removing or narrowing one is a new `version` of that message.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic's own need below Python 3.12

Gender = Literal["female", "male", "unknown"]
Distance = Literal["near", "mid", "far", "unknown"]
DwellBand = Literal["0-5", "5-15", "15-30", "30-60", "60+"]
State = Literal["online", "stopped", "offline"]
Reason = Literal["on", "command", "file", "pin", "hours"]

Device = Annotated[str, Field(description="The configured name; also the second level of the topic.")]
BootId = Annotated[str, Field(description="Random, new with each start of the process.", min_length=8)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Sequence = Annotated[
    int, Field(ge=0, description="Rises by one with each message of this kind from this boot_id; a gap is a loss.")
]
Historical = Annotated[
    bool, Field(description="True where it was sent late, after a restart or a lost connection; count it all the same.")
]
Utc = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$", description="UTC, ISO 8601.")]
AgeBand = Annotated[str, Field(pattern=r"^(\d{1,3}-\d{1,3}|\d{1,3}\+|unknown)$")]


class AgePayload(TypedDict):
    years: Annotated[float | None, Field(ge=0, le=120, description="Null before the first estimate.")]
    sd: Annotated[
        float | None, Field(ge=0, description="One standard deviation, years; null where no model gives one.")
    ]


class GenderPayload(TypedDict):
    label: Annotated[Gender, Field(description="'unknown' below audience.min_gender_confidence.")]
    confidence: Annotated[
        float | None,
        Field(ge=0.5, le=1, description="Probability of the likelier one; null before the first estimate."),
    ]


class FacePayload(TypedDict):
    age: AgePayload
    gender: GenderPayload


class ByGender(TypedDict):
    female: Count
    male: Count
    unknown: Count


class AudiencePayload(TypedDict):
    count: Annotated[int, Field(ge=0, description="Persons in view now.")]
    by_gender: ByGender
    by_age_band: Annotated[dict[AgeBand, Count], Field(description="Every configured band, and 'unknown'.")]
    mean_age: Annotated[float | None, Field(ge=0, le=120)]


class FramePayload(TypedDict):
    """Who is in view in one processed frame. No geometry and no identity."""

    schema: Literal["edge-agender.frame"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    sequence: Sequence
    captured: Annotated[Utc, Field(description="When the frame was taken. UTC, ISO 8601.")]
    audience: AudiencePayload
    faces: Annotated[list[FacePayload], Field(description="One entry a person, by age; not the same order in each.")]


class StatusPayload(TypedDict):
    """Whether the daemon runs. Retained; 'offline' is sent by the broker as the will."""

    schema: Literal["edge-agender.status"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    state: State
    software: Annotated[str, Field(description="Version of edge-agender.")]


class HealthPayload(TypedDict):
    """How the device fares. Counts are since the message before; null where this board cannot tell."""

    schema: Literal["edge-agender.health"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    sequence: Sequence
    sent: Utc
    uptime_s: Seconds
    fps: Annotated[float | None, Field(ge=0, description="Processed frames a second.")]
    frames: Count
    dropped_frames: Annotated[int, Field(ge=0, description="Captured, but replaced before they were processed.")]
    latency_p50_ms: Annotated[float | None, Field(ge=0, description="Capture to message, median.")]
    latency_p95_ms: Annotated[float | None, Field(ge=0)]
    detections: Annotated[int, Field(ge=0, description="Frames that were searched for faces.")]
    detections_saved: Annotated[int, Field(ge=0, description="Frames that the motion gate and cadence passed over.")]
    estimates: Annotated[int, Field(ge=0, description="Crops whose age and gender were estimated.")]
    estimates_saved: Annotated[int, Field(ge=0, description="Crops that would have added nothing.")]
    camera_restarts: Count
    cpu_percent: Annotated[float | None, Field(ge=0, description="100 is one core.")]
    memory_mb: Annotated[float | None, Field(ge=0, description="Resident memory.")]
    temperature_c: float | None
    throttled: Annotated[bool | None, Field(description="The board slows itself down: heat or a weak supply.")]
    clock_synchronised: bool | None
    broker_connects: Count
    outbox_waiting: Annotated[int, Field(ge=0, description="Messages not yet acknowledged by the broker.")]
    outbox_dropped: Count
    alarms: Annotated[list[str], Field(description="What needs a person, in words; empty when all is well.")]


class EnabledPayload(TypedDict):
    """Whether it measures, and what decided that. Retained."""

    schema: Literal["edge-agender.enabled"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    enabled: Annotated[bool, Field(description="The switch on .../enabled/set, as it was last set.")]
    measuring: Annotated[bool, Field(description="False: the camera is closed.")]
    reason: Annotated[Reason, Field(description="What closed the camera; 'on' while measuring.")]


PAYLOADS: dict[str, type] = {
    "frame": FramePayload,
    "status": StatusPayload,
    "health": HealthPayload,
    "enabled": EnabledPayload,
}
