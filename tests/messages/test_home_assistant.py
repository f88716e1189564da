"""What Home Assistant's own code says to the discovery messages; needs it installed in a Python of its own."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.messages.test_discovery import announced
from tests.support.paths import ROOT

PYTHON = os.environ.get("EDGE_AGENDER_HOME_ASSISTANT")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="EDGE_AGENDER_HOME_ASSISTANT is not a Python with homeassistant installed"),
]


def judged(messages: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    assert PYTHON is not None
    program = [PYTHON, str(ROOT / "tests/support/home_assistant.py")]
    done = subprocess.run(program, input=json.dumps(messages), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, dict[str, str]] = json.loads(done.stdout)
    return said


def test_home_assistants_own_schemas_take_every_message_and_ignore_nothing() -> None:
    levels = ("aggregate", "frame", "viewer")
    assert judged({level: announced(level) for level in levels}) == {level: {} for level in levels}


def test_what_home_assistant_refuses_is_found() -> None:
    bare, unit, option, template = (announced() for _ in range(4))
    del bare["origin"]
    unit["components"]["temperature"]["unit_of_measurement"] = "m"
    option["components"]["viewers"]["colour"] = "red"
    template["components"]["enabled"]["value_template"] = "{{ value_json.enabled"
    said = judged({"bare": bare, "unit": unit, "option": option, "template": template})
    assert {name: set(each) for name, each in said.items()} == {
        "bare": {""}, "unit": {"temperature"}, "option": {"viewers"}, "template": {"enabled"},
    }  # fmt: skip
