from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator

from docs_tools.json_schemas import json_schemas
from docs_tools.schemas import asyncapi_text
from edge_agender.config.settings import QosConfig
from edge_agender.messages import schemas
from edge_agender.messages.commands import COMMANDS
from edge_agender.messages.contract import PAYLOADS
from tests.messages.test_build import EVERY
from tests.support.paths import ROOT

RELEASED = Path(__file__).parent / "released_schemas"
ASYNCAPI = ROOT / "docs" / "asyncapi.yaml"


def test_the_shipped_schemas_are_those_of_the_code() -> None:
    made = json_schemas()
    assert set(schemas.names()) == set(made)
    for kind, schema in made.items():
        assert schemas.load(kind) == schema, f"{kind}: run python -m edge_agender.messages.schemas"


@pytest.mark.parametrize("kind", schemas.names())
def test_each_is_a_valid_schema_with_its_name_and_version(kind: str) -> None:
    schema = schemas.load(kind)
    Draft202012Validator.check_schema(schema)
    version = schema["properties"]["version"]["const"]
    assert schema["$id"] == f"urn:edge-agender:schema:{kind}:{version}"
    assert schema["properties"]["schema"]["const"] == f"edge-agender.{kind}"
    assert schema["description"]


def test_an_unknown_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="known are"):
        schemas.load("../frame")


def changes(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """What a subscriber that was built on `old` could trip over in `new` of the same version."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            if key in ("description", "title"):
                continue
            if key not in new:
                yield f"{where}/{key} is gone"
            elif key == "required":
                yield from (f"{where}: {name} may now be missing" for name in set(value) - set(new[key]))
            else:
                yield from changes(value, new[key], f"{where}/{key}")
        # New fields may come; a new constraint on an old one may not.
        if where and not where.endswith(("/properties", "/$defs")):
            added = new.keys() - old.keys() - {"description", "title", "required"}
            yield from (f"{where}: {key} is new" for key in sorted(added))
    elif old != new:
        yield f"{where} was {old!r}, is {new!r}"


@pytest.mark.parametrize("path", sorted(RELEASED.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_released_still_holds(path: Path) -> None:
    old = json.loads(path.read_text())
    kind, version = path.stem.rsplit("-", 1)
    new = schemas.load(kind)
    if new["properties"]["version"]["const"] == int(version):
        assert list(changes(old, new)) == []


def test_something_was_released() -> None:
    assert {path.stem.rsplit("-", 1)[0] for path in RELEASED.glob("*.json")} == set(schemas.names())


def test_the_comparison_finds_what_breaks_and_allows_what_does_not() -> None:
    old = schemas.load("frame")
    added = copy.deepcopy(old)
    added["properties"]["weather"] = {"type": "string"}
    added["$defs"]["AudiencePayload"]["properties"]["hats"] = {"type": "boolean"}
    added["required"].append("weather")
    added["description"] = "told better"
    assert list(changes(old, added)) == []
    for break_it in (
        lambda s: s["properties"].pop("sequence"),
        lambda s: s["required"].remove("audience"),
        lambda s: s["properties"]["sequence"].update(type="string"),
        lambda s: s["properties"]["sequence"].update(maximum=9),
        lambda s: s["$defs"]["GenderPayload"]["properties"]["label"]["enum"].append("other"),
        lambda s: s["$defs"]["AgePayload"]["properties"]["sd"]["anyOf"].pop(),
    ):
        broken = copy.deepcopy(old)
        break_it(broken)
        assert list(changes(old, broken)) != []


class TestAsyncapi:
    def document(self) -> dict[str, Any]:
        data: dict[str, Any] = yaml.safe_load(ASYNCAPI.read_text(encoding="utf-8"))
        return data

    def test_the_document_is_that_of_the_code(self) -> None:
        assert ASYNCAPI.read_text(encoding="utf-8") == asyncapi_text(), "run python -m edge_agender.messages.schemas"

    def test_every_reference_leads_somewhere(self) -> None:
        document = self.document()
        references = list(values_of("$ref", document))
        assert len(references) > 40
        for reference in references:
            node = document
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]

    def test_every_payload_and_command_has_its_topic_and_direction(self) -> None:
        document = self.document()
        for kind in PAYLOADS:
            assert document["channels"][kind]["address"] == "{prefix}/{device}/" + kind
        actions = {
            operation["channel"]["$ref"].rsplit("/", 1)[1]: operation for operation in document["operations"].values()
        }
        assert actions.keys() == {*PAYLOADS, *COMMANDS, "discovery"}
        assert {kind for kind, operation in actions.items() if operation["action"] == "receive"} == set(COMMANDS)

    @pytest.mark.parametrize("kind", EVERY)
    def test_quality_and_retention_are_those_of_the_messages(self, kind: str) -> None:
        operations = self.document()["operations"].values()
        (mqtt,) = [o["bindings"]["mqtt"] for o in operations if o["channel"]["$ref"] == f"#/channels/{kind}"]
        assert mqtt["qos"] == getattr(QosConfig(), kind)
        assert mqtt["retain"] == EVERY[kind].retain

    @pytest.mark.parametrize("kind", EVERY)
    def test_messages_are_what_it_says(self, kind: str) -> None:
        document = self.document()
        payload = document["components"]["messages"][kind]["payload"]
        Draft7Validator({**document, **payload}).validate(json.loads(EVERY[kind].payload))

    def test_asyncapis_own_schema_takes_it(self) -> None:
        npm = shutil.which("npm")
        root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True).stdout.strip() if npm else ""
        schema = Path(root) / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"
        if not root or not schema.exists():
            pytest.skip("needs npm install -g @asyncapi/specs")
        errors = Draft7Validator(json.loads(schema.read_text())).iter_errors(self.document())
        assert [f"{error.json_path}: {error.message}" for error in errors] == []


def values_of(key: str, node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for value in node.values():
            yield from values_of(key, value)
    elif isinstance(node, list):
        for item in node:
            yield from values_of(key, item)
