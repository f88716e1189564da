"""What the engine knows of itself just now: what the status page is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_agender.audience.measures import Demographics, FrameView, Window
from edge_agender.capture.counts import Counts
from edge_agender.config.settings import Config
from edge_agender.device.health import Alarm, SourceState
from edge_agender.device.switch import SwitchState
from edge_agender.messages.contract import VersionsPayload
from edge_agender.vision.pipeline import Observation


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """`conditions`: sharpness and light by track. `problem`: why no frames come, which is among the alarms too."""

    config: Config
    observation: Observation | None
    view: FrameView | None
    windows: tuple[Window, ...]
    periods: tuple[Demographics, ...]
    versions: VersionsPayload
    switch: SwitchState | None
    capturing: bool
    source: SourceState
    problem: str | None
    alarms: tuple[Alarm, ...]
    counts: Counts
    frames: int
    latency_s: float | None
    conditions: Mapping[int, tuple[float, float]]
