"""What json.loads would let through: each of these once ended a daemon, or was published as a figure."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agender.common.strict_json import parse


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e400]", "too large"),
        (b"[" + b"9" * 5000 + b"]", "digits"),
        (b"1234567890123456789", "digits"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'["\\ud800"]', "UTF-8"),
        (b'{"\\udfff": 1}', "UTF-8"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 200_000, "deeply"),
        (b'{"a":' * 200_000, "deeply"),
        (b"", "Expecting"),
        (b'{"a": 1', "Expecting|delimiter"),
        (b"1 2", "Extra"),
    ],
)
def test_what_is_no_sound_json_is_one_line(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse(raw)
    assert "\n" not in str(caught.value)


SOUND = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


@given(SOUND)
def test_sound_json_is_read_as_it_was_written(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_value_error(raw: bytes) -> None:
    with suppress(ValueError):
        parse(raw)
