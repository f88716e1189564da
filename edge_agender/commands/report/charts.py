"""Small charts as SVG text. Each is drawn from numbers, and stands beside a table that says the same."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edge_agender.commands.report.shares import Share

WIDTH, HEIGHT = 640, 170
LEFT, RIGHT, TOP, BOTTOM = 34, 6, 10, 24


def people_chart(parts: Sequence[tuple[float, float, int]], seconds: float) -> str:
    """People in view over time: the mean as bars, the most at once as a mark above each."""
    most = max((peak for _, _, peak in parts), default=0) or 1
    step = (WIDTH - LEFT - RIGHT) / max(len(parts), 1)
    shapes = []
    for number, (_, mean, peak) in enumerate(parts):
        x = LEFT + number * step
        shapes.append(_bar(x, step, mean / most, "one"))
        y = _y(peak / most)
        shapes.append(f'<line class="mark" x1="{x:.1f}" x2="{x + step * 0.9:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return _svg([*_axis(most), *shapes, *_times(seconds)], "People in view over time")


def shares_chart(shares: Sequence[Share]) -> str:
    """Viewers by age band, female and male beside each other, a line of one standard deviation at each bar's end."""
    bands = list(dict.fromkeys(share.band for share in shares if share.band != "unknown"))
    most = max((share.viewers + share.sd for share in shares), default=0) or 1
    step = (WIDTH - LEFT - RIGHT) / max(len(bands), 1)
    shapes = []
    for share in shares:
        if share.band == "unknown" or share.gender == "unknown":
            continue
        second = share.gender == "male"
        x, wide = LEFT + bands.index(share.band) * step + (step * 0.46 if second else step * 0.06), step * 0.38
        shapes.append(_bar(x, wide / 0.9, share.viewers / most, "two" if second else "one"))
        middle = x + wide / 2
        low, high = _y(max(share.viewers - share.sd, 0) / most), _y((share.viewers + share.sd) / most)
        if share.sd >= 0.05:
            shapes.append(f'<path class="error" d="M{middle:.1f} {low:.1f}V{high:.1f}M{middle - 4:.1f} {high:.1f}h8'
                          f'M{middle - 4:.1f} {low:.1f}h8"/>')  # fmt: skip
    names = [
        f'<text x="{LEFT + (number + 0.45) * step:.1f}" y="{HEIGHT - 7}" text-anchor="middle">{escape(band)}</text>'
        for number, band in enumerate(bands)
    ]
    return _svg([*_axis(most), *shapes, *names], "Viewers by age and gender, with one standard deviation")


def _bar(x: float, step: float, part: float, kind: str) -> str:
    y = _y(part)
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{step * 0.9:.1f}" height="{HEIGHT - BOTTOM - y:.1f}"/>'


def _y(part: float) -> float:
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _axis(most: float) -> list[str]:
    base = HEIGHT - BOTTOM
    label = f"{most:.0f}" if most >= 3 else f"{most:.1f}"
    return [
        f'<path class="axis" d="M{LEFT} {base + 0.5}H{WIDTH - RIGHT}M{LEFT} {TOP + 0.5}H{WIDTH - RIGHT}"/>',
        f'<text x="{LEFT - 5}" y="{TOP + 5}" text-anchor="end">{label}</text>',
        f'<text x="{LEFT - 5}" y="{base + 4}" text-anchor="end">0</text>',
    ]


def _times(seconds: float) -> list[str]:
    places = [(part, LEFT + part * (WIDTH - LEFT - RIGHT)) for part in (0.0, 0.25, 0.5, 0.75, 1.0)]
    anchors = ["start", "middle", "middle", "middle", "end"]
    return [
        f'<text x="{x:.1f}" y="{HEIGHT - 7}" text-anchor="{anchor}">{clock(part * seconds)}</text>'
        for (part, x), anchor in zip(places, anchors, strict=True)
    ]


def clock(seconds: float) -> str:
    """Return 75.4 as 1:15."""
    whole = round(seconds)
    return (
        f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
        if whole >= 3600
        else f"{whole // 60}:{whole % 60:02d}"
    )


def _svg(shapes: Sequence[str], title: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(shapes)}</svg>'
