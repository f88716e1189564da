"""The package's folders as a drawing, from the imports as they are: docs/images/rooms.svg."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from docs_tools.imports import edges, modules, room

SVG = Path(__file__).parents[1] / "docs" / "images" / "rooms.svg"
# Not rooms but the way in; drawn they would only say that everything may fail and that cli calls commands.
LEFT_OUT = {"", "errors", "__main__", "cli"}
ROLES = {
    "common": "shared by rooms that share no owner",
    "config": "options, hours, secrets",
    "imaging": "the values that hold pixels",
    "device": "board, systemd, state, switch",
    "capture": "where frames come from",
    "inference": "models and interpreters",
    "vision": "faces, estimates, tracks",
    "audience": "visits, windows, privacy",
    "messages": "topics and payloads",
    "delivery": "outbox, MQTT, inbox",
    "web": "the status page",
    "daemon": "the service",
    "recordings": "one's own videos, marked",
    "fleet": "the collector of many devices",
    "commands": "the verbs",
}
BOX_W, BOX_H, GAP_X, GAP_Y, EDGE = 216, 44, 26, 46, 14
STYLE = """
  .box { fill: #f4f6f8; stroke: #8a97a5; } .pixels { fill: #e7f0fb; stroke: #5c86b8; }
  text { font: 13px system-ui, sans-serif; fill: #1c2733; text-anchor: middle; }
  .small { font-size: 11px; fill: #5b6875; }
  path { fill: none; stroke: #8a97a5; } marker path { fill: #8a97a5; stroke: none; }
  @media (prefers-color-scheme: dark) {
    .box { fill: #222b35; stroke: #6f7d8c; } .pixels { fill: #1d3047; stroke: #5c86b8; }
    text { fill: #e4eaf0; } .small { fill: #9fadba; }
  }
"""


def drawing() -> str:
    """Return the folders in rows, each importing only from rows above; arrows point to what is imported.

    An arrow that follows from others is left out. Folders that may hold pictures are blue.
    """
    graph = folders()
    rows = layers(graph)
    width = max(len(row) for row in rows) * (BOX_W + GAP_X) - GAP_X + 2 * EDGE
    height = len(rows) * (BOX_H + GAP_Y) - GAP_Y + 2 * EDGE
    places = {}
    for line, row in enumerate(rows):
        left = (width - len(row) * (BOX_W + GAP_X) + GAP_X) / 2
        for column, name in enumerate(row):
            places[name] = (left + column * (BOX_W + GAP_X), EDGE + line * (BOX_H + GAP_Y))
    arrows = [
        _arrow(places[name], places[target])
        for name, targets in sorted(reduced(graph).items())
        for target in sorted(targets)
    ]
    boxes = [_box(name, *places[name]) for row in rows for name in row]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">\n'
        f"<title>Folders of edge_agender and what they import</title>\n<style>{STYLE}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>\n'
    )
    return head + "\n".join([*arrows, *boxes]) + "\n</svg>\n"


def folders() -> dict[str, set[str]]:
    """Return each folder with the folders that it imports."""
    graph: dict[str, set[str]] = {room(name): set() for name in modules()}
    for importer, target in edges():
        graph[room(importer)].add(room(target))
    return {name: targets - LEFT_OUT - {name} for name, targets in graph.items() if name not in LEFT_OUT}


def layers(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return rows of nodes: each stands below everything that it imports, as high as it can."""
    depth: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((of(target) for target in graph[name]), default=-1)
        return depth[name]

    for name in graph:
        of(name)
    return [sorted(name for name in graph if depth[name] == row) for row in range(max(depth.values()) + 1)]


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph without the edges that a longer way says too."""

    def reach(name: str) -> set[str]:
        return {name}.union(*(reach(target) for target in graph[name]))

    return {
        name: {target for target in targets if not any(target in reach(other) for other in targets - {target})}
        for name, targets in graph.items()
    }


def _box(name: str, x: float, y: float) -> str:
    kind = "box pixels" if _holds_pixels(name) else "box"
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{BOX_W}" height="{BOX_H}" rx="6"/>'
        f'<text x="{x + BOX_W / 2:g}" y="{y + 19:g}">{escape(name)}</text>'
        f'<text class="small" x="{x + BOX_W / 2:g}" y="{y + 35:g}">{escape(ROLES[name])}</text>'
    )


def _holds_pixels(name: str) -> bool:
    """Whether anything in a folder imports what holds pixels, or is it."""
    return name == "imaging" or any(
        room(importer) == name and target in ("imaging.frame", "imaging.preprocess", "imaging.pictures")
        for importer, target in edges()
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = (start[0] + BOX_W / 2, start[1]), (end[0] + BOX_W / 2, end[1] + BOX_H)
    middle = (y1 + y2) / 2
    return f'<path marker-end="url(#tip)" d="M{x1:g} {y1:g} C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2 + 2:g}"/>'
