"""What speaks at a port: asked once, when a connection came to nothing and the broker did not say why.

Each question is a connection of its own that carries no name and no password.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Callable
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["TLS", "MQTT 5", "MQTT 3.1.1", "HTTP"]

ANSWER_S = 3.0


def languages(host: str, port: int, tls: ssl.SSLContext | None = None) -> list[Language]:
    """Return what answers at the port, or within TLS there; nothing where nobody answers at all."""
    return [language for language in _QUESTIONS if speaks(host, port, language, tls)]


def speaks(host: str, port: int, language: Language, tls: ssl.SSLContext | None = None) -> bool:
    try:
        with socket.create_connection((host, port), ANSWER_S) as sock:
            if tls is None:
                return _QUESTIONS[language](sock)
            with tls.wrap_socket(sock, server_hostname=host) as secure:
                return _QUESTIONS[language](secure)
    except (OSError, ValueError):
        return False


def of_first_bytes(first: bytes) -> str | None:
    """Return what sent these bytes where a CONNACK was due, in words; None for a CONNACK, or where nothing came."""
    if not first or first[0] == 0x20:
        return None
    for start, what in (
        (b"\x15\x03", "TLS"),
        (b"\x16\x03", "TLS"),
        (b"HTTP/", "a web server"),
        (b"INFO {", "a NATS server's client port; its MQTT port is another one"),
        (b"AMQP", "an AMQP port; the same broker's MQTT port is usually 1883"),
        (b"SSH-", "an SSH server"),
    ):
        if first.startswith(start):
            return what
    return "something that is no MQTT broker"


def _speaks_mqtt(sock: socket.socket, level: int) -> bool:
    name = f"probe-{secrets.token_hex(4)}".encode()
    body = b"\0\4MQTT" + bytes([level, 2, 0, 10]) + (b"\0" if level == 5 else b"") + bytes([0, len(name)]) + name
    sock.sendall(b"\x10" + bytes([len(body)]) + body)
    answer = sock.recv(64)
    # 1 is the refusal of this version, in the words of the former one; whatever else, it understood the question.
    return len(answer) >= 4 and answer[0] == 0x20 and (answer[1] == 2) == (level == 4) and answer[3] not in (1, 0x84)


def _speaks_tls(sock: socket.socket) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_socket(sock).close()
    except ssl.SSLError as error:
        # An alert is an answer too: it speaks TLS and does not like ours.
        return "ALERT" in (error.reason or "")
    return True


def _speaks_http(sock: socket.socket) -> bool:
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return sock.recv(16).startswith(b"HTTP/")


_QUESTIONS: dict[Language, Callable[[socket.socket], bool]] = {
    "MQTT 3.1.1": lambda sock: _speaks_mqtt(sock, 4),
    "MQTT 5": lambda sock: _speaks_mqtt(sock, 5),
    "TLS": _speaks_tls,
    "HTTP": _speaks_http,
}
