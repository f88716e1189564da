"""Who may look: the Host header, the password, and how often it may be tried."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable
from pathlib import Path

from edge_agender.common.attempts import Attempts
from edge_agender.common.files import opened
from edge_agender.errors import CredentialError

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_BYTES = 1024


def read_password(path: Path) -> str:
    """Return the password in the file's first line; raise CredentialError where it is none or too short."""
    try:
        with opened(path) as file:
            lines = file.read(MAX_PASSWORD_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise CredentialError(f"{path}: {reason}: web.password_file must hold the page's password") from None
    password = lines[0].strip() if lines else ""
    if len(password) < MIN_PASSWORD_LENGTH:
        raise CredentialError(f"{path}: the page's password needs at least {MIN_PASSWORD_LENGTH} characters")
    return password


class Access:
    """Decides on each request. `password` None asks for none: the page is on loopback then."""

    def __init__(self, password: str | None, hostnames: Iterable[str] = (), attempts: Attempts | None = None) -> None:
        self._digest = _digest(password) if password is not None else None
        self.attempts = attempts or Attempts()
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own.split('.')[0]}.local", *(name.lower() for name in hostnames)}

    @property
    def needs_password(self) -> bool:
        return self._digest is not None

    def knows_host(self, header: str | None) -> bool:
        """False for a foreign name: a web page elsewhere has pointed its name at us (DNS rebinding)."""
        name = (header or "").strip().lower()
        if name.startswith("["):
            return _is_address(name[1:].partition("]")[0])
        name = name.rpartition(":")[0] or name
        return name.rstrip(".") in self._names or _is_address(name)

    def knows_password(self, authorization: str | None) -> bool:
        """True where none is needed, or the Basic credentials carry it; the user's name is not looked at."""
        if self._digest is None:
            return True
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(token.strip(), validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(_digest(given.partition(":")[2]), self._digest)


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8")).digest()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
