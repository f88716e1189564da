"""Signatures as minisign makes them: who holds the secret key vouches for a file (https://jedisct1.github.io/minisign).

A signature file has four lines: an untrusted comment, the signature, a trusted comment, and a signature over the two
before. All is read strictly, so that no changed byte passes, but for the words of the untrusted comment: nobody vouches
for those, and nothing here reads them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from edge_agender.errors import ConfigError, ModelError

MAX_SIGNATURE_BYTES = 4096
_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "
# The two letters before each key and signature: a signature over the file itself, or over its BLAKE2b-512.
_LEGACY, _PREHASHED = b"Ed", b"ED"
_ID_BYTES, _KEY_BYTES, _SIGNATURE_BYTES = 8, 32, 64


@dataclass(frozen=True, slots=True)
class PublicKey:
    key_id: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    prehashed: bool
    key_id: bytes
    raw: bytes
    trusted_comment: bytes
    global_raw: bytes


def parse_public_key(text: str) -> PublicKey:
    """Return the key in the second line of a minisign .pub file; raise ConfigError where it is none."""
    try:
        data = _decoded(text, 2 + _ID_BYTES + _KEY_BYTES)
        if data[:2] != _LEGACY:
            raise ValueError("not of minisign")
    except ValueError as error:
        raise ConfigError(
            f"models.public_key: {error}: give the second line of a minisign .pub file, which begins with RW"
        ) from None
    return PublicKey(data[2 : 2 + _ID_BYTES], data[2 + _ID_BYTES :])


def parse_signature(raw: bytes) -> Signature:
    """Return what a .minisig file holds; raise ValueError where it is not exactly one."""
    lines = raw.decode("utf-8").removesuffix("\n").split("\n")
    if len(lines) != 4 or not lines[0].startswith(_UNTRUSTED) or not lines[2].startswith(_TRUSTED):
        raise ValueError("not a minisign signature")
    data = _decoded(lines[1], 2 + _ID_BYTES + _SIGNATURE_BYTES)
    if data[:2] not in (_LEGACY, _PREHASHED):
        raise ValueError("a signature of an unknown kind")
    comment = lines[2].removeprefix(_TRUSTED).encode()
    global_raw = _decoded(lines[3], _SIGNATURE_BYTES)
    return Signature(data[:2] == _PREHASHED, data[2 : 2 + _ID_BYTES], data[2 + _ID_BYTES :], comment, global_raw)


def verify(data: bytes, signature_file: bytes, public_key: str, origin: str) -> str:
    """Return the trusted comment; raise ModelError unless the signature file vouches for these very bytes.

    ConfigError: the key is none, or the package that computes Ed25519 is missing.
    """
    key = parse_public_key(public_key)
    try:
        signature = parse_signature(signature_file)
    except ValueError as error:
        raise ModelError(f"{origin}.minisig: {error}: sign the manifest again with minisign") from None
    if signature.key_id != key.key_id:
        raise ModelError(
            f"{origin}.minisig: made with another key than models.public_key: sign the manifest with yours"
        )
    message = hashlib.blake2b(data).digest() if signature.prehashed else data
    if not _holds(key, signature.raw, message):
        raise ModelError(
            f"{origin}: not what was signed: restore the manifest, or sign it again if the change is yours"
        )
    if not _holds(key, signature.global_raw, signature.raw + signature.trusted_comment):
        raise ModelError(f"{origin}.minisig: its trusted comment was changed: sign the manifest again with minisign")
    return signature.trusted_comment.decode()


def _holds(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise ConfigError(
            "models.public_key needs the package cryptography: pip install 'edge-agender[signed-models]', "
            "or apt install python3-cryptography"
        ) from None
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _decoded(text: str, size_bytes: int) -> bytes:
    """Return what base64 text of one spelling only stands for; raise ValueError where it is not `size_bytes` long."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if len(data) != size_bytes:
        raise ValueError("of the wrong length")
    # The last character of base64 has bits that stand for nothing: a change of those must not pass either.
    if base64.b64encode(data).decode() != text:
        raise ValueError("not base64 as it is written")
    return data
