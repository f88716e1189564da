"""MkDocs' hook: links of the pages to files of the repository work on the site too.

A page in docs/ may link to ../models/face-ssd.md as it does on a code host. Such files become pages (Markdown) or
downloads (everything else) below repository/ on the site. A link to what does not exist fails the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS, ELSEWHERE = "docs/", "repository/"
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")


def links(text: str, path: str) -> list[str]:
    """Return the files that a Markdown text links to; paths from the repository's root, as `path` is."""
    found = [match[2] for match in LINK.finditer(without_code(text)) if "://" not in match[2]]
    return [posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) for target in found]


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def site_path(path: str) -> str:
    """Return where a file of the repository lies among the site's sources."""
    return path.removeprefix(DOCS) if path.startswith(DOCS) else ELSEWHERE + path


def repository_path(site: str) -> str:
    return site.removeprefix(ELSEWHERE) if site.startswith(ELSEWHERE) else DOCS + site


def linked_files(pages: dict[str, str]) -> set[str]:
    """Return the files outside docs/ that the pages (path -> text) link to, and those that these link to."""
    known: set[str] = set()
    todo = [target for path, text in pages.items() for target in links(text, path)]
    while todo:
        path = todo.pop()
        if path in known or path.startswith(DOCS) or not (ROOT / path).is_file():
            continue
        known.add(path)
        if path.endswith(".md"):
            todo += links((ROOT / path).read_text(encoding="utf-8"), path)
    return known


def on_files(files: Any, config: Any) -> Any:
    """Put the linked files of the repository beside the pages."""
    from mkdocs.structure.files import File, InclusionLevel

    pages = {DOCS + file.src_uri: file.content_string for file in files.documentation_pages()}
    for path in sorted(linked_files(pages)):
        file = File.generated(config, site_path(path), abs_src_path=str(ROOT / path))
        file.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Make the page's links lead to where the linked files lie on the site."""
    here = repository_path(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        if "://" in match[2] or match[2].startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), match[2]))
        if not (ROOT / path).is_file():
            return match[0]  # MkDocs complains
        target = posixpath.relpath(site_path(path), posixpath.dirname(page.file.src_uri) or ".")
        return f"{match[1]}{target}{match[3] or ''}{match[4]}"

    parts = re.split(r"(```.*?```)", markdown, flags=re.S)
    return "".join(part if part.startswith("```") else LINK.sub(moved, part) for part in parts)
