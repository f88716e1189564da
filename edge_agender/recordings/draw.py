"""Marks -> lines and letters on a picture (H, W, 3), B, G, R, which is changed in place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box, clip
from edge_agender.recordings.marks import Gender, Mark

Colour = tuple[int, int, int]

# B, G, R: apart in hue and in brightness, so that they differ for colour-blind eyes too.
COLOURS: dict[Gender, Colour] = {"female": (193, 201, 95), "male": (96, 168, 240), "unknown": (210, 210, 210)}
LEFT_OUT: Colour = (150, 150, 150)
PAPER: Colour = (20, 18, 16)
FONT = cv2.FONT_HERSHEY_SIMPLEX
# Blocks across a covered face: of eight nobody is recognised (McPherson et al., 2016, need 16 and a trained network).
MOSAIC = 6
# A covered face loses its hair line and ears too.
COVER_MARGIN = 0.15


def annotate(picture: Picture, marks: Sequence[Mark], *, blur: bool = False) -> None:
    """Draw every mark; with `blur` each face is covered first."""
    if blur:
        for mark in marks:
            cover(picture, mark.box)
    unit = max(picture.shape[0] / 720, 0.6)
    for mark in sorted(marks, key=lambda each: each.standing == "counted"):
        _box(picture, mark, unit)
    taken: list[Box] = []
    for mark in sorted(marks, key=lambda each: (each.standing != "counted", -each.box.area)):
        _caption(picture, mark, unit, taken)
    for mark in marks:
        _line_of_sight(picture, mark, unit)


def cover(picture: Picture, box: Box) -> None:
    """Replace a face by a mosaic of its mean colours."""
    x, y = box.width * COVER_MARGIN, box.height * COVER_MARGIN
    inside = clip(Box(box.x1 - x, box.y1 - y, box.x2 + x, box.y2 + y), picture.shape[1], picture.shape[0])
    if inside is None:
        return
    x1, y1, x2, y2 = math.floor(inside.x1), math.floor(inside.y1), math.ceil(inside.x2), math.ceil(inside.y2)
    part = picture[y1:y2, x1:x2]
    blocks = cv2.resize(part, (MOSAIC, MOSAIC), interpolation=cv2.INTER_AREA)
    part[:] = cv2.resize(blocks, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def banner(picture: Picture, text: str) -> None:
    """Write one line into the lower left corner."""
    unit = max(picture.shape[0] / 720, 0.6)
    _text(picture, [text], (round(8 * unit), picture.shape[0] - round(30 * unit)), unit, (235, 235, 235))


def colour_of(mark: Mark) -> Colour:
    return LEFT_OUT if mark.standing == "left_out" else COLOURS[mark.gender]


def _box(picture: Picture, mark: Mark, unit: float) -> None:
    thick = max(round((2.5 if mark.standing == "counted" else 1.2) * unit), 1)
    x1, y1, x2, y2 = (round(side) for side in mark.box)
    if mark.standing == "left_out":
        # Only the corners: what is not counted must not look as if it were.
        arm = max(round(min(x2 - x1, y2 - y1) / 4), 2)
        for x, across in ((x1, arm), (x2, -arm)):
            for y, down in ((y1, arm), (y2, -arm)):
                cv2.line(picture, (x, y), (x + across, y), LEFT_OUT, thick, cv2.LINE_AA)
                cv2.line(picture, (x, y), (x, y + down), LEFT_OUT, thick, cv2.LINE_AA)
        return
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour_of(mark), thick, cv2.LINE_AA)


def _line_of_sight(picture: Picture, mark: Mark, unit: float) -> None:
    """A filled dot on the box of who looks, a ring on that of who looks away, and a line along the head's direction."""
    if mark.looking is None or mark.standing == "left_out":
        return
    radius = max(round(7 * unit), 4)
    place = round(mark.box.x2), round(mark.box.y1)
    cv2.circle(picture, place, radius + 1, PAPER, cv2.FILLED, cv2.LINE_AA)
    cv2.circle(picture, place, radius, colour_of(mark), cv2.FILLED if mark.looking else 1, cv2.LINE_AA)
    if mark.aim is not None:
        start = round(mark.box.centre[0]), round(mark.box.centre[1])
        end = round(mark.aim[0]), round(mark.aim[1])
        cv2.arrowedLine(picture, start, end, colour_of(mark), max(round(2 * unit), 1), cv2.LINE_AA, tipLength=0.25)


def _caption(picture: Picture, mark: Mark, unit: float, taken: list[Box]) -> None:
    """Write beside the box: above, else below, wherever no caption lies yet; the last place tried is taken anyway."""
    width, height = _extent(mark.lines, unit)
    tall, wide = picture.shape[:2]
    left = min(max(mark.box.x1, 0), max(wide - width, 0))
    places = [(left, mark.box.y1 - height), (left, mark.box.y2), (mark.box.x2, mark.box.y1), (left, mark.box.y1)]
    for x, y in places:
        area = Box(x, y, x + width, y + height)
        inside = y >= 0 and y + height <= tall and x + width <= wide
        if inside and not any(_touch(area, other) for other in taken):
            break
    taken.append(area)
    _text(picture, mark.lines, (round(area.x1), round(max(area.y1, 0))), unit, colour_of(mark))


def _touch(a: Box, b: Box) -> bool:
    return a.x1 < b.x2 and b.x1 < a.x2 and a.y1 < b.y2 and b.y1 < a.y2


def _extent(lines: Sequence[str], unit: float) -> tuple[float, float]:
    scale = 0.55 * unit
    widest = max((cv2.getTextSize(_plain(line), FONT, scale, 1)[0][0] for line in lines), default=0)
    return widest + 8 * unit, len(lines) * 20 * unit + 6 * unit


def _text(picture: Picture, lines: Sequence[str], place: tuple[int, int], unit: float, colour: Colour) -> None:
    """Letters on a darkened ground, whose upper left corner is `place`."""
    width, height = _extent(lines, unit)
    x, y = place
    ground = picture[max(y, 0) : max(y + round(height), 0), max(x, 0) : max(x + round(width), 0)]
    if ground.size:
        cv2.addWeighted(ground, 0.35, np.full_like(ground, PAPER), 0.65, 0, dst=ground)
    for number, line in enumerate(lines):
        _write(picture, line, (x + round(4 * unit), y + round((number + 0.8) * 20 * unit)), unit, colour)


def _write(picture: Picture, line: str, place: tuple[int, int], unit: float, colour: Colour) -> None:
    """OpenCV's letters are ASCII: ± is a plus with a line under it."""
    scale, thick, (x, y) = 0.55 * unit, max(round(unit), 1), place
    for number, part in enumerate(line.split("±")):
        if number:
            plus = cv2.getTextSize("+", FONT, scale, thick)[0]
            cv2.putText(picture, "+", (x, y - round(1.5 * unit)), FONT, scale, colour, thick, cv2.LINE_AA)
            cv2.line(picture, (x + 1, y + 1), (x + plus[0] - 2, y + 1), colour, thick, cv2.LINE_AA)
            x += plus[0]
        cv2.putText(picture, part, (x, y), FONT, scale, colour, thick, cv2.LINE_AA)
        x += cv2.getTextSize(part, FONT, scale, thick)[0][0]


def _plain(line: str) -> str:
    return line.replace("±", "+")
