"""What a fleet tells one of its devices, in one word: `fleet enrol` makes it, `setup --enrol` reads it."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from edge_agender.config.section import Section
from edge_agender.errors import CredentialError

MAX_BYTES = 65_536


class Token(Section):
    """It holds a password: whoever has it can speak as this device."""

    name: str
    hosts: tuple[str, ...] = Field(min_length=1)
    password: str = Field(repr=False)
    prefix: str
    protocol: Literal["5", "3.1.1"]
    tls: bool = False
    ca: str | None = None

    def text(self) -> str:
        """One word, for a command line or a file."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")


def read_token(word: str) -> Token:
    """Return the token that a word is, or that the file of that name holds; raise CredentialError for another."""
    try:
        path = Path(word)
        if len(word) < 256 and path.is_file():
            with path.open("rb") as file:
                word = file.read(MAX_BYTES).decode().strip()
        return Token.model_validate_json(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
    except OSError as error:
        raise CredentialError(f"--enrol {word}: {error.strerror}") from None
    except (ValidationError, ValueError, binascii.Error):
        raise CredentialError("--enrol: neither a token of `edge-agender fleet enrol` nor a file with one") from None
