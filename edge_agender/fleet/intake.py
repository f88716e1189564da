"""Bytes from a broker -> a record. Whoever may publish may write anything: what is not usable is refused in words."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edge_agender.fleet.kinds import KINDS
from edge_agender.fleet.records import Arrival, Durable, Record, Refused, State
from edge_agender.messages.contract import PAYLOADS

MAX_BYTES = 262_144
MAX_TEXT = 200
# Above this a float no longer holds every whole number; a count of that size is a fault.
MAX_NUMBER = 2**53
STATES = ("status", "health", "enabled", "reported")
# What may differ between two deliveries of one measurement.
_PER_DELIVERY = ("historical", "boot_id", "sequence")


class _UnusableError(ValueError):
    pass


def read(arrival: Arrival, prefix: str) -> Record | None:
    """Return what an arrival says; None for a kind that is not collected. Never raises."""
    try:
        return _read(arrival, prefix)
    except _UnusableError as error:
        return Refused(arrival.topic, arrival.payload, arrival.received_s, str(error))
    except (ValueError, TypeError, OverflowError, RecursionError, ArithmeticError, KeyError) as error:
        reason = f"cannot be read: {type(error).__name__}: {error}"
        return Refused(arrival.topic, arrival.payload, arrival.received_s, reason[:MAX_TEXT])


def _read(arrival: Arrival, prefix: str) -> Record | None:
    device, _, kind = arrival.topic.removeprefix(prefix + "/").partition("/")
    if kind not in KINDS and kind not in STATES:
        return None
    if kind in STATES and not arrival.payload:
        return None  # a retained message was removed
    if len(arrival.payload) > MAX_BYTES:
        raise _UnusableError(f"{len(arrival.payload)} bytes: at most {MAX_BYTES} are read")
    if not device or len(device) > MAX_TEXT or not device.isprintable():
        raise _UnusableError("the topic's second level is no device name")
    raw = _text(arrival.payload)
    payload = _payload(raw, kind)
    if payload.get("device") != device:
        raise _UnusableError(f"says it is from {str(payload.get('device'))[:64]!r}, on the topic of {device!r}")
    boot_id = _word(payload.get("boot_id"), "boot_id")
    if kind in STATES:
        return State(device, kind, boot_id, arrival.received_s, arrival.retained, raw, payload)
    return _durable(arrival, device, kind, boot_id, payload, raw)


def _durable(arrival: Arrival, device: str, kind: str, boot_id: str, payload: Mapping[str, Any], raw: str) -> Durable:
    start_s = epoch_s(payload["start"])
    versions = payload.get("versions") or {}
    return Durable(
        device=device,
        kind=kind,
        boot_id=boot_id,
        sequence=int(payload["sequence"]),
        start_s=start_s,
        number=int(payload["number"]),
        digest=digest(payload),
        historical=payload.get("historical") is True,
        received_s=arrival.received_s,
        raw=raw,
        rows=KINDS[kind].rows(device, start_s, payload),
        software=versions.get("software"),
        configuration=versions.get("configuration"),
    )


def digest(payload: Mapping[str, Any]) -> str:
    """Return a fingerprint of what was measured, the same however often and by which boot it is delivered."""
    measured = {key: value for key, value in payload.items() if key not in _PER_DELIVERY}
    text = json.dumps(measured, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def epoch_s(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())


def _text(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        raise _UnusableError("not UTF-8 text") from None


def _payload(raw: str, kind: str) -> dict[str, Any]:
    try:
        data = json.loads(raw, parse_constant=_no_constant)
    except RecursionError:
        raise _UnusableError("JSON nested too deeply") from None
    except ValueError as error:
        raise _UnusableError(f"not JSON: {error}"[:MAX_TEXT]) from None
    if not isinstance(data, dict):
        raise _UnusableError("not a JSON object")
    adapter = _adapter(kind)
    if adapter is not None:
        try:
            adapter.validate_python(data, strict=True)
        except ValidationError as error:
            raise _UnusableError(_first(error)) from None
    _check(data)
    return data


def _no_constant(name: str) -> float:
    raise _UnusableError(f"{name} is no number of JSON")


@cache
def _adapter(kind: str) -> TypeAdapter[Any] | None:
    return TypeAdapter(PAYLOADS[kind]) if kind in PAYLOADS else None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:MAX_TEXT]


def _check(value: Any) -> None:
    """Refuse what a database could not hold: huge numbers, infinities, texts that are long or not printable."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _word(key, "a field's name")
            _check(inner)
    elif isinstance(value, list):
        for inner in value:
            _check(inner)
    elif isinstance(value, str):
        _word(value, "a text", 2000)
    elif isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= MAX_NUMBER):
        raise _UnusableError(f"{str(value)[:40]} is no usable number")


def _word(value: Any, what: str, longest: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > longest or not (value.isprintable() or what == "a text"):
        raise _UnusableError(f"{what} is not a printable text of at most {longest} characters")
    if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _UnusableError(f"{what} holds characters that cannot be stored")
    return value
