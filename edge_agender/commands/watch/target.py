"""Which broker to watch, and as whom."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from edge_agender.config import secrets as passwords
from edge_agender.config.load import validate
from edge_agender.config.settings import MqttConfig
from edge_agender.device.installation import Place
from edge_agender.errors import UsageError


@contextmanager
def broker_to_watch(options: Namespace, configured: MqttConfig) -> Iterator[MqttConfig]:
    """The configured broker with what the flags change; another --broker never gets the configured password."""
    _check(options)
    same = options.broker in (None, configured.host, *configured.hosts)
    data: dict[str, Any] = (
        configured.model_dump() if same else {"prefix": configured.prefix, "protocol": configured.protocol}
    )
    data |= _given(options)
    if options.password_file and data.get("username") is None:
        raise UsageError(
            f"--password-file {options.password_file}: give --user too: a broker knows a password only with a name"
        )
    with ExitStack() as stack:
        if options.password_file:
            data["password_file"] = stack.enter_context(passwords.in_memory(passwords.read_from(options.password_file)))
        mqtt = validate({"mqtt": data}, "watch").mqtt
        yield Place().with_credentials(mqtt) if same and not options.user else mqtt


def _given(options: Namespace) -> dict[str, Any]:
    pairs = {"host": options.broker, "port": options.port, "username": options.user}
    given: dict[str, Any] = {name: value for name, value in pairs.items() if value is not None}
    if options.user is not None:
        # Another user's password is not this one's.
        given["password_file"] = None
    if options.ca is not None or options.tls:
        given["tls"] = {"enabled": True, "ca_file": options.ca}
    return given


def _check(options: Namespace) -> None:
    if options.device != "+" and (not options.device or any(letter in "+#/\0" for letter in options.device)):
        raise UsageError(f"--device {options.device!r}: give a device's name, or leave it out for all")
    if options.count is not None and options.count < 1:
        raise UsageError(f"--count {options.count}: give 1 or more")
    if options.seconds is not None and not (math.isfinite(options.seconds) and options.seconds > 0):
        raise UsageError(f"--seconds {options.seconds}: give a number of seconds above 0")
