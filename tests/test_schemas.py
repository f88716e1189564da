from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge_agender import schemas
from edge_agender.schemas.build import json_schemas

RELEASED = Path(__file__).parent / "released_schemas"


def test_the_shipped_schemas_are_those_of_the_code() -> None:
    made = json_schemas()
    assert set(schemas.names()) == set(made)
    for kind, schema in made.items():
        assert schemas.load(kind) == schema, f"{kind}: run python -m edge_agender.schemas"


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
    added["$defs"]["FacePayload"]["properties"]["hat"] = {"type": "boolean"}
    added["required"].append("weather")
    added["description"] = "told better"
    assert list(changes(old, added)) == []
    for break_it in (
        lambda s: s["properties"].pop("sequence"),
        lambda s: s["required"].remove("faces"),
        lambda s: s["properties"]["sequence"].update(type="string"),
        lambda s: s["properties"]["sequence"].update(maximum=9),
        lambda s: s["$defs"]["GenderPayload"]["properties"]["label"]["enum"].append("other"),
        lambda s: s["$defs"]["AgePayload"]["properties"]["sd"]["anyOf"].pop(),
    ):
        broken = copy.deepcopy(old)
        break_it(broken)
        assert list(changes(old, broken)) != []
