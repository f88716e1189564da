"""Documents -> Markdown and HTML. The HTML is one file that asks for nothing else and prints well."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from edge_agender.commands.privacy_report.blocks import (
    Blank,
    Block,
    Bullets,
    Code,
    Document,
    Inline,
    Lawyer,
    Paragraph,
    Section,
    Strong,
    Table,
    Words,
)

FOR_A_LAWYER, FILL_IN = "For a lawyer", "FILL IN"
_DEEPEST = 6
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")
_LINE_START = re.compile(r"^(\s*)([-+>]|\d+[.)])(?=\s)")

STYLE = """\
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
  background: #fff; overflow-wrap: break-word; }
h1, h2, h3, h4 { line-height: 1.2; break-after: avoid; }
h2 { margin-top: 2rem; border-bottom: 1px solid #bbb; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { border: 1px solid #999; padding: .25rem .5rem; text-align: left; vertical-align: top; }
th { background: #eee; }
tr { break-inside: avoid; }
code { font: .92em ui-monospace, monospace; background: #f2f2f2; padding: 0 .2em; }
mark { background: #fff3a3; padding: 0 .2em; }
aside { border-left: .4rem solid #b00020; background: #fdf1f2; padding: .4rem .8rem; margin: 1rem 0;
  break-inside: avoid; }
aside strong:first-child { color: #b00020; }
.poster { font-size: 20px; }
.poster h1 { font-size: 2.4rem; }
.poster > section:last-of-type { break-before: page; font-size: 16px; }
@media print { body { margin: 0; max-width: none; } @page { margin: 18mm; }
  th, code, mark, aside { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def to_markdown(document: Document) -> str:
    lines = [f"# {_plain(document.title)}", "", *_markdown_blocks(document.blocks, 2)]
    return "\n".join(lines).rstrip() + "\n"


def to_html(document: Document) -> str:
    body = "\n".join(_html_blocks(document.blocks, 2))
    shape = ' class="poster"' if document.poster else ""
    title = html.escape(document.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body{shape}>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def _markdown_blocks(blocks: tuple[Block, ...], depth: int) -> Iterator[str]:
    for block in blocks:
        match block:
            case Section(title, inner):
                yield f"{'#' * min(depth, _DEEPEST)} {_markdown(title)}"
                yield ""
                yield from _markdown_blocks(inner, depth + 1)
                continue
            case Paragraph(words):
                yield _LINE_START.sub(r"\1\\\2", _markdown(words))
            case Lawyer(words):
                yield f"> **{FOR_A_LAWYER}:** {_markdown(words)}"
            case Bullets(items):
                yield from (f"- {_markdown(item)}" for item in items)
            case Table(head, rows):
                yield _markdown_row(head)
                yield "|" + " --- |" * len(head)
                yield from map(_markdown_row, rows)
        yield ""


def _markdown_row(cells: tuple[Words, ...]) -> str:
    return "| " + " | ".join(_markdown(cell, in_table=True) or " " for cell in cells) + " |"


def _markdown(words: Words, *, in_table: bool = False) -> str:
    return "".join(_markdown_word(word, in_table) for word in words).strip()


def _markdown_word(word: Inline, in_table: bool) -> str:
    match word:
        case Strong(text):
            return f"**{_plain(text)}**"
        case Blank(text):
            return f"**\\[{FILL_IN}: {_plain(text)}\\]**"
        case Code(text):
            return _code_span(_one_line(text), in_table)
        case _:
            return _plain(word)


def _code_span(text: str, in_table: bool) -> str:
    """Fenced by more backticks than it holds itself; in a table a bar is escaped, also in code."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    inner = text.replace("|", "\\|") if in_table else text
    pad = " " if not inner or inner[0] == "`" or inner[-1] == "`" else ""
    return f"{fence}{pad}{inner}{pad}{fence}"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", text)


def _html_blocks(blocks: tuple[Block, ...], depth: int) -> Iterator[str]:
    for block in blocks:
        match block:
            case Section(title, inner):
                level = min(depth, _DEEPEST)
                yield f"<section>\n<h{level}>{_html(title)}</h{level}>"
                yield from _html_blocks(inner, depth + 1)
                yield "</section>"
            case Paragraph(words):
                yield f"<p>{_html(words)}</p>"
            case Lawyer(words):
                yield f"<aside><strong>{FOR_A_LAWYER}:</strong> {_html(words)}</aside>"
            case Bullets(items):
                yield "<ul>\n" + "\n".join(f"<li>{_html(item)}</li>" for item in items) + "\n</ul>"
            case Table(head, rows):
                yield '<div class="wide"><table>'
                yield f"<thead>{_html_row(head, 'th')}</thead>"
                yield "<tbody>\n" + "\n".join(_html_row(row, "td") for row in rows) + "\n</tbody>"
                yield "</table></div>"


def _html_row(cells: tuple[Words, ...], tag: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return "<tr>" + "".join(f"<{tag}{scope}>{_html(cell)}</{tag}>" for cell in cells) + "</tr>"


def _html(words: Words) -> str:
    return "".join(map(_html_word, words)).strip()


def _html_word(word: Inline) -> str:
    match word:
        case Strong(text):
            return f"<strong>{_safe(text)}</strong>"
        case Blank(text):
            return f"<mark>[{FILL_IN}: {_safe(text)}]</mark>"
        case Code(text):
            return f"<code>{_safe(text)}</code>"
        case _:
            return _safe(word)


def _safe(text: str) -> str:
    return html.escape(_one_line(text))
