"""Who may look: accounts with a role, passwords as scrypt, sessions as random words of which the store has the hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Literal

from edge_agender.errors import UsageError
from edge_agender.fleet.store import Database

Role = Literal["viewer", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "operator")
MIN_PASSWORD_LENGTH = 8
NAME = re.compile(r"^[A-Za-z0-9._@-]{1,64}$")
# About 50 ms and 16 MiB on a server: nothing for a login, much for who tries a dictionary.
_N, _R, _P = 2**14, 8, 1
ALL_TENANTS = ""


@dataclass(frozen=True, slots=True)
class Account:
    """`tenant` ALL_TENANTS: sees every tenant. Operators see devices and their troubles, viewers the audience alone."""

    name: str
    role: str
    tenant: str

    @property
    def operates(self) -> bool:
        return self.role == "operator"


def put_account(database: Database, name: str, password: str, role: str, tenant: str, now_s: float) -> None:
    """Make an account, or change one and end its sessions. Raises UsageError."""
    if not NAME.match(name):
        raise UsageError(f"{name!r}: a user's name has 1 to 64 letters, digits or . _ @ -")
    if len(password) < MIN_PASSWORD_LENGTH:
        raise UsageError(f"the password needs at least {MIN_PASSWORD_LENGTH} characters")
    values = {"name": name, "role": role, "tenant": tenant, "password": hashed(password), "now_s": int(now_s)}
    with database.writing() as transaction:
        transaction.run(
            "INSERT INTO account (name, role, tenant, password, made_s)"
            " VALUES (:name, :role, :tenant, :password, :now_s) ON CONFLICT (name) DO UPDATE SET role = :role,"
            " tenant = :tenant, password = :password",
            values,
        )
        transaction.run("DELETE FROM session WHERE account = :name", values)


def remove_account(database: Database, name: str) -> None:
    """Remove an account and end its sessions. Raises UsageError where there is none."""
    with database.writing() as transaction:
        transaction.run("DELETE FROM session WHERE account = :name", {"name": name})
        if not transaction.run("DELETE FROM account WHERE name = :name", {"name": name}):
            raise UsageError(f"{name!r}: no such user")


def log_in(database: Database, name: str, password: str, session_s: float, now_s: float) -> str | None:
    """Return the word that is the new session, None where name or password are wrong."""
    with database.reading() as transaction:
        found = transaction.rows("SELECT password FROM account WHERE name = :name", {"name": name})
    # As long for a name that does not exist, so that nobody learns names from the time that it takes.
    if not matches(password, str(found[0][0]) if found else _NOBODY) or not found:
        return None
    word = secrets.token_urlsafe(32)
    values = {"name": name, "token": _of(word), "until_s": int(now_s + session_s), "now_s": int(now_s)}
    with database.writing() as transaction:
        transaction.run("DELETE FROM session WHERE until_s < :now_s", values)
        transaction.run("INSERT INTO session (token, account, until_s) VALUES (:token, :name, :until_s)", values)
        transaction.run("UPDATE account SET last_login_s = :now_s WHERE name = :name", values)
    return word


def who(database: Database, word: str, now_s: float) -> Account | None:
    """Return whose session a word is."""
    with database.reading() as transaction:
        found = transaction.rows(
            "SELECT name, role, tenant FROM session JOIN account ON account.name = session.account"
            " WHERE token = :token AND until_s > :now_s",
            {"token": _of(word), "now_s": int(now_s)},
        )
    return Account(*found[0]) if found else None


def log_out(database: Database, word: str) -> None:
    with database.writing() as transaction:
        transaction.run("DELETE FROM session WHERE token = :token", {"token": _of(word)})


def hashed(password: str) -> str:
    salt = secrets.token_bytes(16)
    made = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${made.hex()}"


def matches(password: str, stored: str) -> bool:
    _, n, r, p, salt, wanted = stored.split("$")
    made = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p))
    return hmac.compare_digest(made, bytes.fromhex(wanted))


_NOBODY = hashed(secrets.token_urlsafe(16))


def _of(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()
