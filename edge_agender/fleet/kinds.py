"""Which kinds of messages are counted, and which of their fields become columns. To collect another kind is a row here.

A path names a field of the payload; a field that a message does not have is stored as NULL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Columns of every table here: which measurement a row belongs to.
KEY = ("device", "start_s", "number")


@dataclass(frozen=True, slots=True)
class Part:
    """A list in a payload, one row an entry, told apart by `keys`: texts, '' where the entry has null."""

    table: str
    path: str
    keys: Mapping[str, str]
    columns: Mapping[str, str]

    @property
    def key(self) -> tuple[str, ...]:
        return (*KEY, *self.keys)


@dataclass(frozen=True, slots=True)
class Kind:
    """One durable kind: its table, columns by path, and the lists in it."""

    name: str
    table: str
    columns: Mapping[str, str]
    parts: tuple[Part, ...] = field(default=())

    def rows(self, device: str, start_s: int, payload: Mapping[str, Any]) -> dict[str, list[tuple[Any, ...]]]:
        """Return what is stored of a payload, by table, in the order of `columns_of`."""
        key = (device, start_s, int(payload["number"]))
        found = {self.table: [(*key, *_values(payload, self.columns))]}
        for part in self.parts:
            entries = {
                (*key, *(at(entry, path) or "" for path in part.keys.values())): _values(entry, part.columns)
                for entry in at(payload, part.path) or ()
            }
            found[part.table] = [(*one, *values) for one, values in entries.items()]
        return found


def at(payload: Any, path: str) -> Any:
    """Return the field at a dotted path, None where there is none."""
    for name in path.split("."):
        if not isinstance(payload, Mapping):
            return None
        payload = payload.get(name)
    return payload


def _values(payload: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Any, ...]:
    return tuple(_plain(at(payload, path)) for path in columns.values())


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


WINDOW = Kind(
    "window",
    "audience_window",
    {
        "length_s": "length_s",
        "covered_s": "covered_s",
        "opportunities": "opportunities_to_see",
        "viewers": "viewers",
        "engaged": "engaged",
        "dwell_s": "dwell.total_s",
        "attention_viewers": "attention.viewers",
        "attention_s": "attention.total_s",
        "glances": "attention.glances",
        "mean_count": "audience.mean",
        "peak": "audience.peak",
        "light": "light",
    },
    (
        Part(
            "audience_content",
            "content",
            {"content": "id"},
            {"shown_s": "shown_s", "viewers": "viewers", "dwell_s": "dwell_s", "attention_s": "attention_s"},
        ),
    ),
)
DEMOGRAPHICS = Kind(
    "demographics",
    "audience_demographics",
    {
        "length_s": "length_s",
        "covered_s": "covered_s",
        "viewers": "viewers",
        "brought_forward": "brought_forward",
        "withheld": "withheld",
        "min_cell": "min_cell",
    },
    (
        Part(
            "audience_cell",
            "cells",
            {"content": "content", "gender": "gender", "age_band": "age_band"},
            {"viewers": "viewers", "sd": "sd"},
        ),
    ),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in (WINDOW, DEMOGRAPHICS)}


def columns_of(table: str) -> tuple[str, ...]:
    """Return the columns of a table of measurements, in the order of its rows."""
    for kind in KINDS.values():
        if table == kind.table:
            return (*KEY, *kind.columns)
        for part in kind.parts:
            if table == part.table:
                return (*part.key, *part.columns)
    raise KeyError(table)


def key_of(table: str) -> tuple[str, ...]:
    """Return the columns by which rows of a table of measurements are told apart."""
    parts = [part for kind in KINDS.values() for part in kind.parts if part.table == table]
    return parts[0].key if parts else KEY
