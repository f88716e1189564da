"""Takes bytes out of what they were wrapped in: base64, hexadecimal, lists of numbers, zlib and gzip."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import zlib
from collections.abc import Iterator

# Shorter runs are words, digests and identifiers; a picture of 12 by 12 grey pixels is 144 bytes.
MIN_BYTES = 144
MAX_DEPTH = 3
MAX_INFLATED_BYTES = 64 * 1024 * 1024

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}={0,2}" % (MIN_BYTES * 4 // 3))
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}[ :,]?|\\x[0-9a-fA-F]{2}){%d,}" % MIN_BYTES)
_NUMBERS = re.compile(rb"(?:-?\d{1,3}(?:\.\d*)?[\s,;\[\]]+){%d,}" % (MIN_BYTES - 1))
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")


def unpacked(data: bytes, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield (how it was wrapped, bytes) for `data` itself and all that can be unwrapped from it."""
    yield "", data
    if depth == MAX_DEPTH:
        return
    for name, unwrap in (
        ("base64", _base64),
        ("hexadecimal", _hexadecimal),
        ("numbers", _numbers),
        ("deflated", _inflated),
    ):
        parts = [part for part in unwrap(data) if len(part) >= MIN_BYTES // 2]
        joined = b"".join(parts)
        # Rows sent one by one are a picture only when put together.
        for part in parts if len(parts) == 1 else [*parts, joined]:
            if len(part) >= MIN_BYTES:
                yield from ((f"{name} {inner}".strip(), more) for inner, more in unpacked(part, depth + 1))


def _base64(data: bytes) -> Iterator[bytes]:
    for match in _BASE64.finditer(data):
        text = match[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        text = text[: len(text) - (len(text) % 4 == 1)]
        yield base64.b64decode(text + b"=" * (-len(text) % 4))


def _hexadecimal(data: bytes) -> Iterator[bytes]:
    for match in _HEX.finditer(data):
        digits = re.sub(rb"\\x|[ :,]", b"", match[0])
        try:
            yield binascii.unhexlify(digits)
        except binascii.Error:
            continue


def _numbers(data: bytes) -> Iterator[bytes]:
    """Lists of whole numbers in 0..255, and of fractions, stretched to that range."""
    for match in _NUMBERS.finditer(data + b" "):
        numbers = [float(word) for word in re.findall(rb"-?\d+(?:\.\d*)?", match[0])]
        low, high = min(numbers), max(numbers)
        if low >= 0 and 1 < high <= 255:
            yield bytes(int(number) for number in numbers)
        elif high > low:
            yield bytes(int((number - low) * 255 / (high - low)) for number in numbers)


def _inflated(data: bytes) -> Iterator[bytes]:
    for match in itertools.islice(_ZLIB.finditer(data), 1000):
        yield _inflate(data, match.start())


def _inflate(data: bytes, start: int) -> bytes:
    """What can be inflated from a place on, up to the first error: a store may have put its own marks in between."""
    inflator = zlib.decompressobj(wbits=47)
    out = bytearray()
    for at in range(start, len(data), 1024):
        try:
            out += inflator.decompress(data[at : at + 1024], MAX_INFLATED_BYTES)
        except zlib.error:
            break
        if inflator.eof or len(out) >= MAX_INFLATED_BYTES:
            break
    return bytes(out)
