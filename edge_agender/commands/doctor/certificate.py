"""How long certificates last: read from their DER form, which is had even where nobody vouches for them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from edge_agender.commands.doctor.result import Result

SOON_DAYS = 30
_UTC_TIME = 0x17
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def check_dates(certificates: Iterable[tuple[str, bytes]], now: datetime | None = None) -> list[Result]:
    """Return a failure or warning for each of (whose, DER) that has expired or soon will."""
    return [result for whose, der in certificates if (result := _check(whose, der, now or datetime.now(UTC)))]


def expiry(der: bytes) -> datetime:
    """Return a certificate's notAfter (RFC 5280, 4.1: version, serial, algorithm, issuer, then validity)."""
    parts = _children(_children(der)[0][1])[0][1]
    fields = [(tag, value) for tag, value in _children(parts) if tag != 0xA0]
    tag, value = _children(fields[3][1])[1]
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        # Years 00 to 49 are of this century.
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def in_file(path: Path) -> list[bytes]:
    """Return the DER form of every certificate in a PEM file."""
    return [ssl.PEM_cert_to_DER_cert(block) for block in _BLOCK.findall(path.read_text("ascii", "replace"))]


def _check(whose: str, der: bytes, now: datetime) -> Result | None:
    ends = expiry(der)
    days = (ends - now).days
    if days < 0:
        remedy = f"Renew {whose}, or set this device's clock if it is wrong ({now:%Y-%m-%d})."
        return Result("tls", "failure", f"{whose} expired on {ends:%Y-%m-%d}", remedy)
    if days < SOON_DAYS:
        remedy = "Have it renewed before: from that day on no message arrives."
        return Result("tls", "warning", f"{whose} expires on {ends:%Y-%m-%d}, in {days} days", remedy)
    return None


def _children(der: bytes) -> list[tuple[int, bytes]]:
    """Return (tag, content) of each element in a run of DER."""
    found, place = [], 0
    while place < len(der):
        tag, length, place = der[place], der[place + 1], place + 2
        if length & 0x80:
            size = length & 0x7F
            length, place = int.from_bytes(der[place : place + size], "big"), place + size
        found.append((tag, der[place : place + length]))
        place += length
    return found
