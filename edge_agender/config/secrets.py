"""Passwords from files or standard input, never from a command line; and configurations fit to be shown."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agender.common.masking import hides, shown
from edge_agender.config.settings import Config, SourceConfig
from edge_agender.errors import CredentialError

MAX_BYTES = 4096


def read_from(where: str) -> str:
    """Return the password in a file, or for "-" the first line of standard input; raise CredentialError.

    On a terminal it is asked for and not shown.
    """
    origin = f"--password-file {where}"
    with explained(origin):
        if where == "-" and sys.stdin.isatty():
            raw = getpass.getpass("Password: ").encode()
        elif where == "-":
            raw = sys.stdin.buffer.readline(MAX_BYTES + 1)
        else:
            with Path(where).open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        password = raw.decode().rstrip("\r\n")
    check(password, origin)
    return password


@contextmanager
def explained(origin: str, remedy: str = "give a file that this user may read") -> Iterator[None]:
    """Raise CredentialError for what goes wrong while a password is read and decoded from `origin`."""
    try:
        yield
    except OSError as error:
        raise CredentialError(f"{origin}: {error.strerror}: {remedy}") from None
    except UnicodeError:
        raise CredentialError(f"{origin}: not UTF-8 text: put the password alone into it") from None


def check(password: str, origin: str) -> None:
    """Raise CredentialError where no broker, or no file of ours, could take it."""
    if any("\ud800" <= letter <= "\udfff" for letter in password):
        raise CredentialError(f"{origin}: not UTF-8 text: type it on a terminal that speaks UTF-8")
    if not password or len(password.encode()) > MAX_BYTES - 1:
        raise CredentialError(f"{origin}: empty or too long: give the password alone")
    if any(letter in password for letter in "\r\n\0"):
        raise CredentialError(f"{origin}: more than one line: give the password alone")


@contextmanager
def in_memory(password: str) -> Iterator[Path]:
    """A file that holds the password while it is needed, and that no disk ever sees."""
    descriptor = os.memfd_create("password")
    try:
        os.write(descriptor, password.encode())
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def holds_address(source: SourceConfig) -> bool:
    """Return whether a configuration of this source holds more of an address than all may read."""
    return any(hides(address) for address in (source.opencv.uri or "", *map(str, source.images.paths)) if address)


def masked(config: Config) -> Config:
    """Return the configuration as it may be shown."""
    source = config.source
    uri = source.opencv.uri
    opencv = source.opencv.model_copy(update={"uri": None if uri is None else shown(uri)})
    images = source.images.model_copy(update={"paths": tuple(Path(shown(str(path))) for path in source.images.paths)})
    return config.model_copy(update={"source": source.model_copy(update={"opencv": opencv, "images": images})})
