"""The configuration as a short file: what was asked, what differs from the defaults, with the reference's comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from edge_agender.commands.setup.draft import ASKED
from edge_agender.config.load import parse_yaml, validate
from edge_agender.config.secrets import masked
from edge_agender.config.settings import Config

HEADER = """\
# Written by `edge-agender setup`, which may be run again. What is not here has its default; every option with its
# default and unit stands in the config.yaml that comes with edge-agender (/usr/share/doc/edge-agender/config.yaml).
"""


def contents(config: Config) -> dict[str, Any]:
    """Return what the file must say: what was asked, and every option that differs from its default."""
    whole = config.model_dump(mode="json")
    default = Config().model_dump(mode="json")
    told: dict[str, Any] = {}
    for path, value in _options(whole):
        if path in ASKED or value != _at(default, path):
            _put(told, path, value)
    return told


def render(config: Config, reference: str) -> str:
    """Return the file's text; `reference` is the text of the commented config.yaml."""
    comments = comments_of(reference)
    lines = [HEADER.rstrip("\n")]
    for section, options in contents(config).items():
        lines += ["", f"{section}:", *_lines(options, section, comments, "  ")]
    text = "\n".join(lines) + "\n"
    if validate(parse_yaml(text, "setup"), "setup") != config:
        raise AssertionError("the written configuration would not read back as what was chosen")
    return text


def changes(before: Config, after: Config) -> list[str]:
    """Return one line an option that changes, passwords masked."""
    old, new = (dict(_options(config.model_dump(mode="json"))) for config in (before, after))
    old_shown, new_shown = (dict(_options(masked(config).model_dump(mode="json"))) for config in (before, after))
    return [
        f"{path}: {_scalar(old_shown[path])} -> {_scalar(new_shown[path])}"
        if old_shown[path] != new_shown[path]
        else f"{path}: another user, password or query in it"
        for path in new
        if old[path] != new[path]
    ]


def comments_of(reference: str) -> dict[str, list[str]]:
    """Return the comment lines right above each option of a YAML text, by the option's path."""
    found: dict[str, list[str]] = {}
    path: list[tuple[int, str]] = []
    waiting: list[str] = []
    for line in reference.splitlines():
        text = line.strip()
        if text.startswith("#") and not text.startswith("# name:"):
            waiting.append(text)
            continue
        name, colon, _ = text.removeprefix("# ").partition(":")
        if colon:
            indent = len(line) - len(line.lstrip())
            path = [*(step for step in path if step[0] < indent), (indent, name)]
            found[".".join(step[1] for step in path)] = waiting
        waiting = []
    return found


def _lines(options: Mapping[str, Any], path: str, comments: Mapping[str, list[str]], indent: str) -> Iterator[str]:
    for name, value in options.items():
        here = f"{path}.{name}"
        yield from (indent + comment for comment in comments.get(here, ()))
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _lines(value, here, comments, indent + "  ")
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.strip().removesuffix("...").strip()


def _options(data: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _options(value, f"{start}{name}.")
        else:
            yield start + name, value


def _at(data: Mapping[str, Any], path: str) -> Any:
    node: Any = data
    for name in path.split("."):
        node = node[name]
    return node


def _put(data: dict[str, Any], path: str, value: object) -> None:
    *sections, name = path.split(".")
    for section in sections:
        data = data.setdefault(section, {})
    data[name] = value
