"""What a document is made of: sections, paragraphs, lists and tables of words; written once, rendered twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Code:
    """A value or a command, as it is written. Nothing in it is markup."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    text: str


@dataclass(frozen=True, slots=True)
class Blank:
    """What the reader has to fill in."""

    text: str


Inline: TypeAlias = str | Code | Strong | Blank
Words: TypeAlias = tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    words: Words


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`head` is as long as each row."""

    head: tuple[Words, ...]
    rows: tuple[tuple[Words, ...], ...]


@dataclass(frozen=True, slots=True)
class Lawyer:
    """A question of law: somebody who knows it must answer before the document is used."""

    words: Words


@dataclass(frozen=True, slots=True)
class Section:
    title: Words
    blocks: tuple[Block, ...]


Block: TypeAlias = Paragraph | Bullets | Table | Lawyer | Section


@dataclass(frozen=True, slots=True)
class Document:
    """`name` is the file's name without its suffix; `poster`: to be read from a distance."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    poster: bool = False


_MARKS = re.compile(r"\*\*(?P<strong>.+?)\*\*|`(?P<code>[^`]+)`|\[\[(?P<blank>.+?)\]\]|\{(?P<field>[a-z_]+)\}")
_CARD_MARKS = re.compile(r"\*\*(?P<strong>.+?)\*\*|`(?P<code>[^`]+)`")


def say(template: str, **values: object) -> Words:
    """Return the words of a text with **strong**, `code`, [[to fill in]] and {field}s.

    A field's value is shown as code and never read as markup; a value that is Words is put in as it is.
    """
    return _parse(template, _MARKS, values)


def read_marks(text: str) -> Words:
    """Return the words of a text of others, in which only **strong** and `code` are marks."""
    return _parse(text, _CARD_MARKS, {})


def text(template: str, **values: object) -> Paragraph:
    return Paragraph(say(template, **values))


def lawyer(template: str, **values: object) -> Lawyer:
    return Lawyer(say(template, **values))


def bullets(*items: str | Words) -> Bullets:
    return Bullets(tuple(say(item) if isinstance(item, str) else item for item in items))


def section(title: str, *blocks: Block) -> Section:
    return Section(say(title), blocks)


def table(head: str, *rows: tuple[str | Words, ...]) -> Table:
    """Return a table; `head` names its columns, divided by bars. A cell that is str is a template without fields."""
    columns = tuple(say(name.strip()) for name in head.split("|"))
    return Table(columns, tuple(tuple(say(cell) if isinstance(cell, str) else cell for cell in row) for row in rows))


def _parse(template: str, marks: re.Pattern[str], values: dict[str, object]) -> Words:
    words: list[Inline] = []
    end = 0
    for match in marks.finditer(template):
        if match.start() > end:
            words.append(template[end : match.start()])
        words.extend(_marked(match, values))
        end = match.end()
    if end < len(template):
        words.append(template[end:])
    return tuple(words)


def _marked(match: re.Match[str], values: dict[str, object]) -> Words:
    kind, found = str(match.lastgroup), str(match[str(match.lastgroup)])
    if kind == "field":
        value = values[found]
        return value if isinstance(value, tuple) else (Code(str(value)),)
    makers: dict[str, type[Strong] | type[Code] | type[Blank]] = {"strong": Strong, "code": Code, "blank": Blank}
    return (makers[kind](found),)
