"""Lets devices in and out: a credential each, what it may touch at the broker, and the one command for the box."""

from __future__ import annotations

import os
import re
import secrets
import signal
from pathlib import Path

from edge_agender.config.token import Token
from edge_agender.errors import ConfigError, UsageError
from edge_agender.fleet.mosquitto import COLLECTOR, Credentials
from edge_agender.fleet.settings import FleetConfig
from edge_agender.fleet.store import Database
from edge_agender.messages.commands import COMMAND_TOPICS
from edge_agender.messages.contract import PAYLOADS

# A topic level, a user name, a client identifier and a subject of NATS at once (which takes no dot).
NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
DAY_S = 86400


def enrol(
    database: Database, config: FleetConfig, name: str, tenant: str, site: str, valid_days: float | None, now_s: float
) -> Token:
    """Make or renew a device's credential; its former one ends with that. Raises UsageError for a name of no use."""
    if not NAME.fullmatch(name) or name == COLLECTOR:
        raise UsageError(f"{name!r}: a device's name has 1 to 64 letters, digits, - or _")
    password = secrets.token_urlsafe(24)
    token = _token(config, name, password)
    _let_in(config, name, password)
    until_s = None if valid_days is None else int(now_s + valid_days * DAY_S)
    assign(database, name, tenant, site, now_s, until_s)
    return token


def assign(
    database: Database, name: str, tenant: str, site: str, now_s: float, valid_until_s: int | None = None
) -> None:
    """Note whose a device is and where it stands, from now on valid."""
    values = {"name": name, "tenant": tenant, "site": site, "now_s": int(now_s), "until_s": valid_until_s}
    with database.writing() as transaction:
        transaction.run(
            "INSERT INTO device (name, tenant, site, enrolled_s, valid_until_s)"
            " VALUES (:name, :tenant, :site, :now_s, :until_s) ON CONFLICT (name) DO UPDATE SET tenant = :tenant,"
            " site = :site, enrolled_s = :now_s, valid_until_s = :until_s, revoked_s = NULL",
            values,
        )


def revoke(database: Database, config: FleetConfig, name: str, now_s: float) -> None:
    """End a device's credential; its data stays. Raises UsageError where there is no such device."""
    with database.writing() as transaction:
        done = transaction.run(
            "UPDATE device SET revoked_s = :now_s WHERE name = :name", {"name": name, "now_s": int(now_s)}
        )
        if not done:
            raise UsageError(f"{name!r}: no such device; edge-agender fleet devices lists them")
        # Before that is committed: who cannot be shut out now must not be shown as revoked, and is tried again.
        _shut_out(config, name)


def expire(database: Database, config: FleetConfig, now_s: float) -> list[str]:
    """Revoke the devices whose credential has ended; return their names."""
    with database.reading() as transaction:
        found = transaction.rows(
            "SELECT name FROM device WHERE revoked_s IS NULL AND valid_until_s <= :now_s", {"now_s": int(now_s)}
        )
    names = [str(name) for (name,) in found]
    for name in names:
        revoke(database, config, name, now_s)
    return names


def nats_user(token: Token) -> str:
    """Return the entry by which a NATS lets a device in (deploy/nats/users.conf): its own topics alone, by name.

    Not by NATS' own protocol, by which it could store messages in the name of another.
    """
    own = f"{token.prefix}/{token.name}".replace("/", ".")
    written = "\n".join(f"    {own}.{kind}" for kind in PAYLOADS)
    read = "\n".join(f"    {own}.{topic.replace('/', '.')}" for topic in COMMAND_TOPICS.values())
    return (
        f'{{\n  user: {token.name}, password: "{token.password}", allowed_connection_types: [MQTT]\n'
        f'  permissions: {{\n  publish: [\n{written}\n  ]\n  subscribe: [\n{read}\n    "$MQTT.sub.>"\n  ]}}\n}}'
    )


def _token(config: FleetConfig, name: str, password: str) -> Token:
    tls, ca_file = _tls(config)
    try:
        ca = ca_file.read_text() if ca_file is not None else None
    except OSError as error:
        raise ConfigError(f"{ca_file}: {error.strerror}") from None
    # The MQTT of NATS is 3.1.1.
    protocol = {"own": "5", "mqtt": config.mqtt.protocol, "nats": "3.1.1"}[config.broker]
    return Token.model_validate(
        {
            **{"name": name, "hosts": _addresses(config), "password": password, "prefix": config.prefix},
            **{"protocol": protocol, "tls": tls, "ca": ca},
        }
    )


def _addresses(config: FleetConfig) -> tuple[str, ...]:
    """Where devices find the broker."""
    own = config.own
    if config.broker == "own":
        return (f"{own.address or own.host}:{own.port}",)
    if config.broker == "nats":
        return config.nats.mqtt_addresses
    return tuple(one.address for one in config.mqtt.brokers)


def _tls(config: FleetConfig) -> tuple[bool, Path | None]:
    if config.broker == "own":
        return config.own.certificate_file is not None, config.own.ca_file
    return config.mqtt.uses_tls, config.mqtt.tls.ca_file


def _let_in(config: FleetConfig, name: str, password: str) -> None:
    if config.broker != "own":
        return  # its administrator does: the command prints what to enter
    folder = config.folder / "mosquitto"
    credentials = Credentials(folder, config.prefix)
    credentials.prepare()
    credentials.put(name, password)
    reload_broker(folder)


def _shut_out(config: FleetConfig, name: str) -> None:
    if config.broker == "own":
        folder = config.folder / "mosquitto"
        Credentials(folder, config.prefix).remove(name)
        reload_broker(folder)


def reload_broker(folder: Path) -> None:
    """Have a running broker of ours read its password file again."""
    try:
        pid = int((folder / "pid").read_text())
        if "mosquitto" in Path(f"/proc/{pid}/comm").read_text():
            os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError):
        return  # none runs: it will read the file when it starts
