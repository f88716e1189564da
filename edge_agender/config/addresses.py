"""Addresses of brokers as people write them: a name, with a port, an IPv6 literal in brackets, an mqtt:// URL."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

_PLAIN, _SECURE = frozenset({"mqtt", "tcp"}), frozenset({"mqtts", "ssl", "tls"})
_EXAMPLES = "broker.local, broker.local:1884 or [2001:db8::7]:1883"


class Address(NamedTuple):
    """`port` None: none was given. `tls`: what a URL's scheme says, None without one."""

    host: str
    port: int | None
    tls: bool | None


def parse_address(text: str) -> Address:
    """Return what an address says; raise ValueError in words, which never repeat the text: it may hold a password."""
    scheme, separator, rest = text.strip().rpartition("://")
    tls = _tls(scheme.lower()) if separator else None
    rest = rest.removesuffix("/") if separator else rest
    if "@" in rest:
        raise ValueError("holds a user or a password: they belong into mqtt.username and mqtt.password_file")
    if any(letter in rest for letter in "/?#"):
        raise ValueError(f"holds a path: give name and port alone, such as {_EXAMPLES}")
    host, port = _split(rest)
    _check_host(host)
    return Address(host, _number(port) if port is not None else None, tls)


def _tls(scheme: str) -> bool:
    if scheme in ("ws", "wss"):
        raise ValueError("MQTT over websockets is not spoken here: give the broker's MQTT port, usually 1883 or 8883")
    if scheme not in _PLAIN | _SECURE:
        raise ValueError(f"is no address of a broker: give one such as {_EXAMPLES}")
    return scheme in _SECURE


def _split(text: str) -> tuple[str, str | None]:
    """Return host and, where there is one, the text of the port."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (port and not port.startswith(":")):
            raise ValueError("an IPv6 address is written such as [2001:db8::7]:1883")
        return host, port[1:] if port else None
    if text.count(":") > 1:
        if not _is_ipv6(text):
            raise ValueError(f"has more than one colon: give one such as {_EXAMPLES}")
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError("has a port that is not a number from 1 to 65535")
    return int(text)


def _check_host(host: str) -> None:
    if not host:
        raise ValueError(f"is empty: give one such as {_EXAMPLES}")
    if ":" in host:
        return
    if "," in host or ";" in host:
        raise ValueError("is one address: several are a list in mqtt.hosts")
    if not re.fullmatch(r"[\w.-]+", host):
        raise ValueError(f"holds a blank or a character that no host name has: give one such as {_EXAMPLES}")
    if re.fullmatch(r"[0-9.]+", host):
        _check_ipv4(host)
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("is no host name: a part between two dots is empty or longer than 63 characters") from None


def _check_ipv4(host: str) -> None:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError("is no IPv4 address: four numbers from 0 to 255, such as 192.168.1.20") from None
