import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agender.audience.measures import Content
from edge_agender.messages.inbound import parse_content, parse_enabled


@pytest.mark.parametrize("payload", [b'{"enabled": true}', b"ON", b"on", b" true ", b"1"])
def test_on(payload: bytes) -> None:
    assert parse_enabled(payload) is True


@pytest.mark.parametrize("payload", [b'{"enabled": false, "by": "guard"}', b"OFF", b"off", b"false", b"0"])
def test_off(payload: bytes) -> None:
    assert parse_enabled(payload) is False


@pytest.mark.parametrize(
    "payload", [b"", b"maybe", b"{}", b'{"enabled": 1}', b"[]", b"\xff", b"{" * 600, b"[" * 400, b'{"enabled": "true"}']
)
def test_anything_else_is_no_command(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"enabled/set|command"):
        parse_enabled(payload)


def test_content_lasts_until_its_end() -> None:
    content = parse_content(b'{"id": "spring-sale", "until": "2026-01-31T12:00:00Z"}')
    assert content == Content("spring-sale", 1769860800.0)
    assert content.at(1769860799.0) == "spring-sale"
    assert content.at(1769860800.0) is None


def test_content_without_an_end_lasts() -> None:
    assert parse_content(b'{"id": "a"}').at(9e9) == "a"
    assert parse_content(b'{"id": "a", "until": null}') == Content("a")


@pytest.mark.parametrize("payload", [b"", b'{"id": null}', b"{}"])
def test_content_is_cleared(payload: bytes) -> None:
    assert parse_content(payload).at(0.0) is None


@pytest.mark.parametrize(
    "data",
    [
        {"id": ""},
        {"id": "a" * 65},
        {"id": 7},
        {"id": "a\nb"},
        {"id": "a", "until": "soon"},
        {"id": "a", "until": 5},
        {"id": "a", "until": "2026-01-31T12:00:00"},
        {"id": "a", "until": "2026-01-31T12:00:00+01:00"},
        {"id": "a", "until": ["2026"]},
    ],
)
def test_wrong_content_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^content: "):
        parse_content(json.dumps(data).encode())


@settings(deadline=None)
@given(st.binary(max_size=600) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    for parse in (parse_enabled, parse_content):
        with suppress(ValueError):
            parse(payload)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    for key, parse in {"enabled": parse_enabled, "id": parse_content, "until": parse_content}.items():
        with suppress(ValueError):
            parse(json.dumps({"id": "a", key: value}).encode())
