"""Addresses as they may be shown."""

from __future__ import annotations

import pytest

from edge_agender.masking import has_secrets, without_secrets


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://u:p@cam/x", "rtsp://***@cam/x"),
        ("rtsp://u:p/@q@cam/x", "rtsp://***@cam/x"),
        ("http://cam/x?token=p", "http://cam/x?..."),
        ("rtsp://u:p\nq@cam/x?p\np", "rtsp://***@cam/x?..."),
    ],
)
def test_user_password_and_query_are_masked(uri: str, shown: str) -> None:
    assert without_secrets(uri) == shown
    assert has_secrets(uri)


@pytest.mark.parametrize("uri", ["/dev/video0", "http://cam/x", "film.mp4", "0"])
def test_others_are_shown_as_they_are(uri: str) -> None:
    assert without_secrets(uri) == uri
    assert not has_secrets(uri)
