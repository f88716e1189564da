"""The shape of every message: the one definition from which types, JSON Schemas and asyncapi.yaml are made.

Adding a field is allowed; renaming, removing or narrowing one is a new `version` of that message.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic's own need below Python 3.12

from edge_agender.audience.measures import Distance, Gender
from edge_agender.device.health import SourceState
from edge_agender.device.switch import Reason

State = Literal["online", "stopped", "offline"]
RemoteState = Literal["applied", "refused", "local", "off"]

Device = Annotated[str, Field(description="The configured name; also the second level of the topic.")]
BootId = Annotated[str, Field(description="Random, new with each start of the process.", min_length=8)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
SequenceNumber = Annotated[
    int, Field(ge=0, description="Rises by one with each message of this kind from this boot_id; a gap is a loss.")
]
Historical = Annotated[
    bool, Field(description="True where it was sent late, after a restart or a lost connection; count it all the same.")
]
Utc = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$", description="UTC, ISO 8601.")]
Source = Annotated[
    SourceState,
    Field(
        description="The camera or stream: 'ok' while frames come; 'frozen' where they repeat one picture; 'missing' "
        "where they do not come and it is tried again; 'off' while it is closed on purpose; 'starting' before it was "
        "opened."
    ),
]
DropReason = Annotated[str, Field(pattern=r"^[a-z]+$")]
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


class PresentCellPayload(TypedDict):
    gender: Gender
    age_band: AgeBand
    count: Annotated[int, Field(ge=1)]


class AudiencePayload(TypedDict):
    count: Annotated[int, Field(ge=0, description="Persons in view now.")]
    by_gender: ByGender
    by_age_band: Annotated[dict[AgeBand, Count], Field(description="Every configured band, and 'unknown'.")]
    cells: Annotated[
        list[PresentCellPayload], Field(description="Persons by gender and age band together; empty cells left out.")
    ]
    mean_age: Annotated[int | None, Field(ge=0, le=120, description="Whole years; null before the first estimate.")]


class FramePayload(TypedDict):
    """Who is in view in one processed frame. No geometry and no identity."""

    schema: Literal["edge-agender.frame"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    sequence: SequenceNumber
    captured: Annotated[Utc, Field(description="When the frame was taken. UTC, ISO 8601.")]
    audience: AudiencePayload
    faces: NotRequired[
        Annotated[
            list[FacePayload],
            Field(description="One entry a person, ordered by age. At privacy level 'viewer' only."),
        ]
    ]
    historical: NotRequired[Historical]


class StatusPayload(TypedDict):
    """Whether the daemon runs. Retained; 'offline' is sent by the broker as the will."""

    schema: Literal["edge-agender.status"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    state: State
    source: Annotated[Source | None, Field(description="Null where the daemon does not run.")]
    software: Annotated[str, Field(description="Version of edge-agender.")]


class HealthPayload(TypedDict):
    """Device health. Counts are since the message before, or where said since the start; null: unknown here."""

    schema: Literal["edge-agender.health"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    sequence: SequenceNumber
    sent: Utc
    uptime_s: Seconds
    source: Source
    fps: Annotated[float | None, Field(ge=0, description="Processed frames a second.")]
    frames: Count
    dropped_frames: Annotated[int, Field(ge=0, description="Captured, but replaced before they were processed.")]
    latency_p50_ms: Annotated[float | None, Field(ge=0, description="Capture to message, median.")]
    latency_p95_ms: Annotated[float | None, Field(ge=0)]
    detections: Annotated[
        int | None,
        Field(
            ge=0, description="Frames that were searched for faces; at 'aggregate' this and the next three are null."
        ),
    ]
    detections_saved: Annotated[int | None, Field(ge=0, description="Frames that the motion gate and cadence skipped.")]
    estimates: Annotated[int | None, Field(ge=0, description="Crops whose age and gender were estimated.")]
    estimates_saved: Annotated[int | None, Field(ge=0, description="Crops that would have added nothing.")]
    camera_restarts: Annotated[int, Field(ge=0, description="Since the start: frames had stopped, and came again.")]
    cpu_percent: Annotated[float | None, Field(ge=0, description="100 is one core.")]
    memory_mb: Annotated[float | None, Field(ge=0, description="Resident memory.")]
    temperature_c: float | None
    throttled: Annotated[bool | None, Field(description="The board slows itself down: heat or a weak supply.")]
    clock_synchronised: bool | None
    broker_connects: Annotated[int, Field(ge=0, description="Since the start.")]
    outbox_waiting: Annotated[int, Field(ge=0, description="Messages not yet acknowledged by the broker.")]
    outbox_dropped: Annotated[int, Field(ge=0, description="Since the start: messages that no broker will get.")]
    outbox_dropped_by: NotRequired[
        Annotated[
            dict[DropReason, Count],
            Field(description="The same by reason: live, size, age, memory, damaged or refused (docs/reliability.md)."),
        ]
    ]
    sequences: NotRequired[
        Annotated[
            dict[str, Count],
            Field(description="By durable kind, the last sequence number of this boot: what has not come is missing."),
        ]
    ]
    alarms: Annotated[list[str], Field(description="What needs a person, in words; empty when all is well.")]
    alarms_since: NotRequired[
        Annotated[list[Utc], Field(description="When each of them began, in the same order; UTC, ISO 8601.")]
    ]


class EnabledPayload(TypedDict):
    """Whether it measures, and what decided that. Retained."""

    schema: Literal["edge-agender.enabled"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    enabled: Annotated[bool, Field(description="The switch on .../enabled/set, as it was last set.")]
    measuring: Annotated[bool, Field(description="False: the camera is closed.")]
    reason: Annotated[
        Reason,
        Field(description="What closed the camera; 'on' while measuring; 'state': the last setting cannot be read."),
    ]


OptionValue = bool | int | float | str | list[int] | list[str] | None
Revision = Annotated[int, Field(ge=0, description="Rises with each configuration from afar; 0: none.")]


class ReportedPayload(TypedDict):
    """What became of the configuration from afar (`desired`). Retained; where `fleet.remote_config` is, or was, on."""

    schema: Literal["edge-agender.reported"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    sent: Utc
    state: Annotated[
        RemoteState,
        Field(
            description="'applied': what was desired last is in force; 'refused': it is not, see `reasons`; what was "
            "in force stays; 'local': the device's own file alone; 'off': the device takes none."
        ),
    ]
    desired_revision: Annotated[Revision | None, Field(description="Of what came last; null where it had none.")]
    applied_revision: Annotated[Revision, Field(description="Of what is in force; 0: the device's own file alone.")]
    applied: Annotated[Utc | None, Field(description="Since when; null where that is the device's own file.")]
    digest: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]{12}$",
            description="Start of the SHA-256 of the configuration from afar in force, as JSON with sorted keys.",
        ),
    ]
    reasons: Annotated[list[str], Field(description="Why what was desired last is not in force; empty where it is.")]
    effective: Annotated[
        dict[str, OptionValue],
        Field(description="Options in force, by name: those that can be set from afar, and no others."),
    ]


class ContentSharePayload(TypedDict):
    id: str
    dwell_s: Seconds
    attention_s: Seconds | None


class ViewerPayload(TypedDict):
    """One viewer has left. Sent at privacy level 'viewer' only."""

    schema: Literal["edge-agender.viewer"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    sequence: SequenceNumber
    historical: Historical
    start: Annotated[Utc, Field(description="When it was first seen, rounded down to the minute. UTC, ISO 8601.")]
    dwell_s: Annotated[float, Field(ge=0, description="From the first to the last detection.")]
    attention_s: Annotated[
        float | None,
        Field(ge=0, description="Sum of its looks, never above dwell_s; null where looks are not measured."),
    ]
    glances: Annotated[int | None, Field(ge=0, description="Number of looks.")]
    age: AgePayload
    gender: GenderPayload
    distance: Annotated[Distance, Field(description="Most of the time; limits by audience.distance.")]
    content: Annotated[list[ContentSharePayload], Field(description="What was on the sign meanwhile, as it told us.")]


class DwellHistogram(
    TypedDict("DwellHistogram", {"0-5": Count, "5-15": Count, "15-30": Count, "30-60": Count, "60+": Count})
):
    """Viewers by dwell in seconds; a lower limit belongs to its class."""


class DwellPayload(TypedDict):
    total_s: Seconds
    mean_s: Annotated[float | None, Field(ge=0, description="total_s over viewers; null without viewers.")]
    histogram: Annotated[
        DwellHistogram | None,
        Field(description="Null at level 'aggregate' where a class has 1 to min_cell - 1 viewers."),
    ]


class AttentionPayload(TypedDict):
    viewers: Annotated[int, Field(ge=0, description="Viewers whose looks were measured.")]
    total_s: Seconds
    mean_s: Annotated[float | None, Field(ge=0, description="total_s over these viewers; null without any.")]
    glances: Count


class CountPayload(TypedDict):
    mean: Annotated[
        float | None,
        Field(
            ge=0,
            description="Persons in view, averaged over the seconds covered; null for few of them at 'aggregate'.",
        ),
    ]
    peak: Count


class ContentPayload(TypedDict):
    id: Annotated[
        str | None,
        Field(description="Null: contents of fewer than min_cell viewers, and time without one ('aggregate')."),
    ]
    shown_s: Annotated[float, Field(ge=0, description="Of the seconds covered.")]
    viewers: Annotated[
        int | None, Field(ge=0, description="Viewers who were there meanwhile: one may count for several.")
    ]
    dwell_s: Annotated[float | None, Field(ge=0, description="Their seconds before it, together.")]
    attention_s: Annotated[float | None, Field(ge=0, description="Their seconds of looking at it, together.")]
    exposure: Annotated[
        float | None, Field(ge=0, description="dwell_s over shown_s: viewers before it at any moment, on average.")
    ]


class VersionsPayload(TypedDict):
    software: str
    detector: str
    estimator: str
    configuration: Annotated[str, Field(description="A fingerprint: equal text, equal options.")]


class WindowPayload(TypedDict):
    """What happened in one clock-aligned span. A viewer counts once, in the window of its last detection."""

    schema: Literal["edge-agender.window"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    sequence: SequenceNumber
    historical: Historical
    number: Annotated[
        int,
        Field(
            ge=0, description="Rises with each window of this device, also over restarts. Equal: the same window again."
        ),
    ]
    start: Utc
    length_s: Annotated[int, Field(gt=0)]
    covered_s: Annotated[float, Field(ge=0, description="Seconds that were watched; the rest is unknown, not empty.")]
    opportunities_to_see: Annotated[int, Field(ge=0, description="Persons whose face was seen, viewers among them.")]
    viewers: Annotated[int, Field(ge=0, description="Those of them who stayed and looked: audience.viewer.")]
    engaged: Annotated[
        int | None,
        Field(ge=0, description="Viewers who looked for audience.viewer.engaged_s or longer; null with attention."),
    ]
    conversion: Annotated[
        float | None, Field(ge=0, le=1, description="viewers over opportunities_to_see; null without any.")
    ]
    dwell: Annotated[
        DwellPayload | None, Field(description="Null at level 'aggregate' below privacy.min_cell viewers.")
    ]
    attention: Annotated[
        AttentionPayload | None, Field(description="Null at level 'aggregate' below privacy.min_cell viewers.")
    ]
    audience: CountPayload
    content: list[ContentPayload]
    light: Annotated[float | None, Field(ge=0, le=255, description="Mean luma of the pictures.")]
    throttled: Annotated[bool | None, Field(description="The board slowed itself down meanwhile.")]
    versions: VersionsPayload


class CellPayload(TypedDict):
    content: Annotated[str | None, Field(description="With demographics.split: content; null: none, or not split.")]
    gender: Gender
    age_band: AgeBand
    viewers: Annotated[int, Field(ge=0, description="A multiple of min_cell.")]
    sd: Annotated[float, Field(ge=0, description="One standard deviation of it: models' errors and rounding.")]


class DemographicsPayload(TypedDict):
    """Who the viewers of one clock-aligned period were. Each viewer is in one period, and in the sums once."""

    schema: Literal["edge-agender.demographics"]
    version: Literal[1]
    device: Device
    boot_id: BootId
    sequence: SequenceNumber
    historical: Historical
    number: Annotated[
        int,
        Field(ge=0, description="Rises with each period of this device, also over restarts. Equal: the same again."),
    ]
    start: Utc
    length_s: Annotated[int, Field(gt=0)]
    covered_s: Annotated[float, Field(ge=0, description="Seconds that were watched; the rest is unknown, not empty.")]
    viewers: Annotated[int, Field(ge=0, description="Of this period: the sum of its windows' viewers.")]
    brought_forward: Annotated[int, Field(ge=0, description="Viewers withheld at the end of the period before.")]
    withheld: Annotated[
        int,
        Field(ge=0, description="Left for the next period: viewers + brought_forward less the sum of the cells."),
    ]
    min_cell: Annotated[int, Field(ge=1, description="Cells are multiples of it.")]
    cells: Annotated[
        list[CellPayload], Field(description="Every cell that can occur; with a split, of contents that have viewers.")
    ]
    versions: VersionsPayload


PAYLOADS: dict[str, type] = {
    "frame": FramePayload,
    "status": StatusPayload,
    "health": HealthPayload,
    "enabled": EnabledPayload,
    "reported": ReportedPayload,
    "viewer": ViewerPayload,
    "window": WindowPayload,
    "demographics": DemographicsPayload,
}
