"""YAML as far as a person writes it: no aliases, no key twice, no depth without an end, no objects."""

from __future__ import annotations

from typing import Any

import yaml

# Deeper than any configuration or manifest; libyaml and Python's recursion end elsewhere on each machine.
MAX_DEPTH = 32
MAX_DIGITS = 40


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
