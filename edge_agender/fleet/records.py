"""Values that pass from a broker to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Cell: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as a broker handed it over. `receipt` is the source's own, to acknowledge it by."""

    topic: str
    payload: bytes
    received_s: float
    retained: bool = False
    receipt: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Durable:
    """A message that is counted: once, whatever is delivered twice.

    `digest` is of everything but what differs between two deliveries of one measurement. `rows` holds, by table, what
    is stored of it.
    """

    device: str
    kind: str
    boot_id: str
    sequence: int
    start_s: int
    number: int
    digest: str
    historical: bool
    received_s: float
    raw: str
    rows: Mapping[str, Sequence[Row]] = field(repr=False)
    software: str | None = None
    configuration: str | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        return (self.device, self.kind, self.boot_id, self.sequence)

    @property
    def stream(self) -> tuple[str, str, str]:
        return (self.device, self.kind, self.boot_id)


@dataclass(frozen=True, slots=True)
class State:
    """The last word of a device about itself: its status, health, switch or reported configuration."""

    device: str
    kind: str
    boot_id: str
    received_s: float
    retained: bool
    raw: str
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """What cannot be used, and why; kept aside."""

    topic: str
    payload: bytes
    received_s: float
    reason: str


Record: TypeAlias = Durable | State | Refused
