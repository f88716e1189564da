"""Passwords from files, standard input and terminals."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agender.config import secrets as passwords
from edge_agender.errors import CredentialError
from tests.support.typist import typing


def test_one_typed_at_a_terminal_is_not_shown() -> None:
    with typing("watch", "--broker", "127.0.0.1", "--port", "1", "--user", "x", "--password-file", "-") as typist:
        typist.wait_for("Password: ")
        typist.type("pl4nted-s3cret\n")
        typist.wait_for("nothing listens there")
        typist.press("\x03")
        assert typist.end() == 0
    assert "pl4nted" not in typist.seen


@pytest.mark.parametrize("password", ["", "two\nlines", "n\0l", "x" * 5000, "not utf-8 \udcff"])
def test_what_no_broker_could_take_is_refused(password: str) -> None:
    with pytest.raises(CredentialError, match="the password: "):
        passwords.check(password, "the password")


def test_a_file_holds_the_password_and_an_end_of_line(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b" s3cret \r\n")
    assert passwords.read_from(str(tmp_path / "secret")) == " s3cret "


def test_in_memory_it_can_be_read_more_than_once() -> None:
    with passwords.in_memory("s3cret") as path:
        assert path.read_text() == path.read_text() == "s3cret"
