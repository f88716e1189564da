"""What stands in an address and is nobody's business does not get into a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agender.config.masking import has_secrets, without_secrets

SECRET = "pl4nted"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://user:pl4nted@camera:554/stream", "rtsp://***@camera:554/stream"),
        ("http://camera/video?key=pl4nted", "http://camera/video?..."),
        ("http://camera/video#pl4nted", "http://camera/video#..."),
        ("http://camera/video?mail=a@b&key=pl4nted", "http://***"),
        ("rtsp://user:pl?4nted@camera/", "rtsp://***"),
        ("rtsp://user:pl/pl4nted@x@camera/", "rtsp://***@camera/"),
        ("user:pl4nted@camera/stream", "***@camera/stream"),
        ("rtsp:/user:pl4nted@camera/stream", "***@camera/stream"),
        ("rtsp://u:p\nq@cam/x?p\np", "rtsp://***@cam/x?..."),
        ("http://camera:8080/video", "http://camera:8080/video"),
        ("film.mp4", "film.mp4"),
        ("/home/a:b@c/video.mp4", "/home/a:b@c/video.mp4"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_what_is_shown(uri: str, shown: str) -> None:
    assert without_secrets(uri) == shown
    assert has_secrets(uri) == (shown != uri)


# What has a meaning in an address, what has none, and a line break.
awkward = st.text("a1:/@?#&=%.\\[]\n é", max_size=8)


@given(awkward, awkward, awkward, st.booleans())
def test_no_password_and_no_key_is_shown_whatever_is_beside_it(a: str, b: str, c: str, in_query: bool) -> None:
    uri = f"rtsp://{a}:{b}{SECRET}@camera/{c}" if not in_query else f"http://camera/?{a}={b}{SECRET}{c}"
    assert SECRET not in without_secrets(uri)
