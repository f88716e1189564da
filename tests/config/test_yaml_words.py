"""A slip in YAML is said in words with its place, and never with the text that may hold a password."""

from __future__ import annotations

import pytest

from edge_agender.config.load import parse_yaml, validate
from edge_agender.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("mqtt:\n\thost: x\n", "line 2, column 1", "a tab stands here"),
        ('mqtt:\n  host: "secret\n  port: 1\n', "line 2, column 9", "a quote is missing"),
        ("mqtt:\n  password: a: secret\n", "line 2, column 14", "no colon may stand here"),
        ("mqtt:\n  host\n  port: 1\n", "line 3, column 7", "indent this line like the one above"),
        ("mqtt:\n   host: x\n  port: 1\n", "line 3, column 3", "not indented like the others"),
        ("mqtt:\n  host: [a, b\n", "line 3, column 1", "brackets is not closed"),
        ('mqtt:\n  host: "a\\secret"\n', "line 2, column 12", "a backslash in double quotes"),
        ("mqtt:\n  host: @secret\n", "line 2, column 9", "begins with @"),
        ("mqtt:\n  host: !secret\n", "line 2, column 9", "begins with !"),
        ("mqtt:\n  host: *\n", "line 2, column 10", "begins with \\* or &"),
    ],
)
def test_slips_are_explained(text: str, place: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        parse_yaml(text, "config.yaml")
    assert place in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            {"window": {"length_s": "1min"}},
            "window.length_s: must be a number of seconds alone, such as 60, not '1min'",
        ),
        ({"outbox": {"max_age_h": "7 days"}}, "outbox.max_age_h: must be a number of hours alone"),
        ({"schedule": {"hours": "mon-fri 08:00-20:00"}}, "schedule.hours: must be a list in brackets"),
        ({"outbox": {"max_mb": 1e300}}, "outbox.max_mb: must be less than or equal to"),
        ({"outbox": {"max_age_h": 1e9}}, "outbox.max_age_h: must be less than or equal to"),
    ],
)
def test_numbers_say_what_they_want(data: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        validate(data, "config.yaml")
    assert says in str(raised.value)
