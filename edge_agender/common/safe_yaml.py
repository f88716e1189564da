"""YAML as far as a person writes it: no aliases, no key twice, no depth without an end, no objects."""

from __future__ import annotations

import re
from typing import Any

import yaml

# Deeper than any configuration or manifest; libyaml and Python's recursion end elsewhere on each machine.
MAX_DEPTH = 32
MAX_DIGITS = 40
_QUOTED = re.compile(r"'[^'<][^']+'")


class _Loader(yaml.SafeLoader):
    """Safe YAML with duplicate keys refused instead of the last one winning unseen.

    The same in pure Python everywhere: libyaml words its errors differently.
    """

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):
            # So PyYAML fails on a value that does not fit its explicit tag, such as !!bool maybe.
            problem = f"this is no value of type {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def construct_yaml_int(self, node: Any) -> Any:
        # More digits than any option has are a typing error, and Python refuses to write them out again.
        if len(str(node.value)) > MAX_DIGITS:
            raise ValueError
        return super().construct_yaml_int(node)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        # What is no mapping, in spite of its tag, is refused below.
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = str(key_node.value)
            if key in seen:
                raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: {key} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def load(text: str) -> Any:
    """Return the value that a YAML text holds, None of an empty one.

    Raises yaml.YAMLError, ValueError or RecursionError.
    """
    # By the events alone: an alias bomb explodes, and depth overflows a stack, only when objects are made.
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed here: write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"more than {MAX_DEPTH} levels deep")
    return yaml.load(text, Loader=_Loader)


# What PyYAML says, by a part of it, and what a person can do about it. The first that fits counts.
_WORDS = (
    ("character '\\t'", "a tab stands here: indent with spaces"),
    (
        "mapping values are not allowed",
        "no colon may stand here: quote the value, or indent this line like the one above",
    ),
    ("unexpected end of stream", "a quote is missing: what begins here is never closed"),
    ("could not find expected ':'", "a colon is missing: write name: value, with a space after the colon"),
    ("expected <block end>", "this line is not indented like the others of its section"),
    ("expected ',' or", "a list or section in brackets is not closed, or a comma is missing"),
    ("did not find expected", "this line is not indented like the others of its section"),
    ("unknown escape character", "a backslash in double quotes: use single quotes"),
    ("could not determine a constructor", "a value that begins with ! must stand in quotes"),
    ("expected alphabetic or numeric character", "a value that begins with * or & must stand in quotes"),
    ("cannot start any token", "a value that begins with @, % or ` must stand in quotes"),
)


def explain(error: Exception) -> str:
    """Return where a text is wrong and what to do, without the text itself: it may hold a password."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        if isinstance(error, yaml.reader.ReaderError):
            return f"character {error.position + 1} is none that text may hold: save the file as UTF-8"
        return " ".join(str(error).split()) or type(error).__name__
    problem = str(error.problem)
    words = next((words for part, words in _WORDS if part in problem), None)
    # Of something that is never closed the beginning is what must be looked at.
    opened = words is not None and "never closed" in words and error.context_mark is not None
    mark = error.context_mark if opened else error.problem_mark
    assert mark is not None
    # The parser quotes tags and anchors, and who forgets the quotes around a password makes one of it.
    said = words or _QUOTED.sub("what is there", problem)
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}"
