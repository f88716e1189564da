"""What others may tell us, from bytes that anybody may have written. Whatever is wrong is a ValueError of one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge_agender.audience.measures import Content
from edge_agender.common import strict_json

# A command is a short word or object: more than this is none.
MAX_BYTES = 512
MAX_ID_LENGTH = 64
# Of a configuration: each option that can be set from afar, four times.
MAX_DESIRED_BYTES, MAX_REVISION = 6144, 2**53 - 1

_WORDS = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Resend:
    """Messages of one kind from one boot that are to be sent once more, both numbers included."""

    kind: str
    boot_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Desired:
    """A configuration from afar, sections and options as in config.yaml. Revision 0: none, the local file alone."""

    revision: int
    configuration: Mapping[str, Any]


def parse_enabled(payload: bytes) -> bool:
    """Read .../enabled/set: {"enabled": true}, or a word such as ON or off."""
    text = _text(payload).strip()
    word = _WORDS.get(text.lower())
    if word is not None:
        return word
    enabled = _object(text).get("enabled")
    if not isinstance(enabled, bool):
        raise ValueError('enabled/set: write {"enabled": true}, {"enabled": false}, on or off')
    return enabled


def parse_content(payload: bytes) -> Content:
    """Read .../content: {"id": "spring-sale", "until": "2026-01-31T12:00:00Z"}; an empty payload clears it."""
    if not payload:
        return Content(None)
    data = _object(_text(payload))
    id_ = data.get("id")
    if id_ is None:
        return Content(None)
    if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID_LENGTH or not id_.isprintable():
        raise ValueError(f"content: id must be a printable text of 1 to {MAX_ID_LENGTH} characters, or null")
    return Content(id_, _utc_s(data.get("until")))


def parse_resend(payload: bytes) -> Resend:
    """Read .../resend: {"kind": "window", "boot_id": "9d0dc6166d012353", "from": 3, "to": 9}."""
    data = _object(_text(payload))
    kind, boot_id, first, last = (data.get(name) for name in ("kind", "boot_id", "from", "to"))
    if isinstance(kind, str) and isinstance(boot_id, str) and 0 < len(kind) <= 32 and 0 < len(boot_id) <= 64:
        numbers = [value for value in (first, last) if isinstance(value, int) and not isinstance(value, bool)]
        if len(numbers) == 2 and 0 <= numbers[0] <= numbers[1] < 2**63:
            return Resend(kind, boot_id, *numbers)
    raise ValueError("resend: write kind, boot_id, and from and to, sequence numbers in rising order")


def parse_desired(payload: bytes) -> Desired:
    """Read .../desired: {"revision": 7, "configuration": {"privacy": {"level": "aggregate"}}}; empty takes it back."""
    if not payload:
        return Desired(0, {})
    if len(payload) > MAX_DESIRED_BYTES:
        raise ValueError(f"desired: {len(payload)} bytes: at most {MAX_DESIRED_BYTES} are read")
    try:
        data = strict_json.parse(payload)
    except ValueError as error:
        raise ValueError(f"desired: not JSON: {error}") from None
    if not isinstance(data, dict) or data.keys() != {"revision", "configuration"}:
        raise ValueError("desired: write revision and configuration, and nothing else")
    revision, configuration = data["revision"], data["configuration"]
    if type(revision) is not int or not 1 <= revision <= MAX_REVISION:
        raise ValueError(f"desired: revision must be a whole number from 1 to {MAX_REVISION}")
    if not isinstance(configuration, dict):
        raise ValueError("desired: configuration must have sections such as privacy")
    return Desired(revision, configuration)


def _utc_s(value: Any) -> float | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.utcoffset() == timedelta(0):
            return moment.timestamp()
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError("content: until must be UTC such as 2026-01-31T12:00:00Z, or null")


def _text(payload: bytes) -> str:
    if len(payload) > MAX_BYTES:
        raise ValueError(f"a command of {len(payload)} bytes: at most {MAX_BYTES} are read")
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("a command that is not UTF-8 text") from None


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("a command that is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError("a command that is not a JSON object")
    return data
