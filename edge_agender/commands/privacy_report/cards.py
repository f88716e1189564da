"""Model cards as part of the report: the Markdown that the cards are written in -> blocks, nothing left out."""

from __future__ import annotations

import re

from edge_agender.commands.privacy_report.blocks import Block, Bullets, Paragraph, Section, Table, Words, read_marks

_LINK = re.compile(r"\[([^\]]+)\]\([^)\s]+\)")
_RULE = re.compile(r"\|(\s*:?-+:?\s*\|)+")


def read_card(markdown: str) -> tuple[Block, ...]:
    """Return a card's text as blocks: headings become sections, links their words; its title is left out."""
    blocks: list[Block] = []
    title: Words | None = None
    inner: list[Block] = []
    for chunk in _chunks(markdown):
        if chunk[0].startswith("# "):
            continue
        if chunk[0].startswith("##"):
            _close(blocks, title, inner)
            title, inner = read_marks(chunk[0].lstrip("# ")), []
        else:
            inner.append(_block(chunk))
    _close(blocks, title, inner)
    return tuple(blocks)


def _close(blocks: list[Block], title: Words | None, inner: list[Block]) -> None:
    if title is None:
        blocks.extend(inner)
    else:
        blocks.append(Section(title, tuple(inner)))


def _chunks(markdown: str) -> list[list[str]]:
    """Return groups of lines that belong together; a heading stands alone."""
    chunks: list[list[str]] = []
    last = ""
    for line in (_LINK.sub(r"\1", line.rstrip()) for line in markdown.splitlines()):
        kind = _kind(line)
        if kind:
            if kind == last and kind != "heading":
                chunks[-1].append(line)
            elif kind == "text" and last == "list" and line.startswith("  "):
                chunks[-1][-1] += f" {line.strip()}"
                continue
            else:
                chunks.append([line])
        last = kind
    return chunks


def _kind(line: str) -> str:
    if not line.strip():
        return ""
    if line.startswith("#"):
        return "heading"
    if line.startswith("|"):
        return "table"
    return "list" if line.startswith("- ") else "text"


def _block(lines: list[str]) -> Block:
    kind = _kind(lines[0])
    if kind == "list":
        return Bullets(tuple(read_marks(line[2:]) for line in lines))
    rows = [_cells(line) for line in lines if not _RULE.fullmatch(line)]
    if kind == "table" and rows:
        width = len(rows[0])
        return Table(rows[0], tuple((row + ((),) * width)[:width] for row in rows[1:]))
    return Paragraph(read_marks(" ".join(lines)))


def _cells(line: str) -> tuple[Words, ...]:
    return tuple(read_marks(cell.strip()) for cell in line.strip().strip("|").split("|"))
