"""docs/configure.md's tables: every option with its default, its limits, and what config.yaml says about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edge_agender.commands.setup.document import comments_of
from edge_agender.config.settings import Config

REFERENCE = Path(__file__).parents[1] / "config.yaml"
TYPES = {int: "a whole number", float: "a number", str: "text", bool: "`true`, `false`", Path: "a path"}
BOUNDS = (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below"))


def options_text() -> str:
    """Return a heading and a table for each section."""
    comments = explained(REFERENCE.read_text(encoding="utf-8"))
    parts = []
    for name, field in Config.model_fields.items():
        rows = [_row(path, info, comments) for path, info in fields(field.annotation, f"{name}.")]
        head = ["| option | default | what it may be | what it does |", "|---|---|---|---|"]
        parts.append("\n".join([f"### {name}", "", *head, *rows]))
    return "\n\n".join(parts)


def fields(model: Any, path: str) -> Iterator[tuple[str, FieldInfo]]:
    """Yield every option below a section with its dotted name."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{path}{name}.")
        else:
            yield path + name, field


def explained(text: str) -> dict[str, str]:
    """Return dotted name -> the comment above it in config.yaml; a section's comment stands at its first option."""
    comments = comments_of(text)
    found: dict[str, str] = {}
    waiting: list[str] = []
    for path, lines in comments.items():
        waiting += [line.removeprefix("#").strip() for line in lines]
        if not any(other.startswith(f"{path}.") for other in comments):
            found[path], waiting = " ".join(waiting), []
    return found


def _row(path: str, field: FieldInfo, comments: dict[str, str]) -> str:
    text = comments.get(path, "").replace("|", "\\|") or "″"
    return f"| `{path}` | {_default(field)} | {allowed(field)} | {text} |"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "of the machine"
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


def allowed(field: FieldInfo) -> str:
    """Return in words what the option takes."""
    kind, metadata, optional = field.annotation, list(field.metadata), False
    for part in get_args(kind) if type(None) in get_args(kind) else ():
        if part is not type(None):
            kind, optional = part, True
    if hasattr(kind, "__metadata__"):
        kind, metadata = kind.__origin__, [*metadata, *kind.__metadata__]
    origin = get_origin(kind)
    if origin is Literal:
        text = ", ".join(f"`{choice}`" for choice in get_args(kind))
    elif origin is tuple:
        text = "a list"
    else:
        text = TYPES[kind] + _bounds(metadata)
    return f"{text}, or `null`" if optional else text


def _bounds(metadata: list[Any]) -> str:
    flat = [part for item in metadata for part in (getattr(item, "metadata", None) or [item])]
    words = [f"{word} {getattr(part, name):g}" for name, word in BOUNDS for part in flat if hasattr(part, name)]
    return f" {' '.join(words)}" if words else ""
