"""Who is where in the demo, and when: a pure function of the seed and the time, so that the truth is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from edge_agender.imaging.geometry import Box

# A visit takes one cycle: walk in, stand, walk out, and a moment with nobody there.
_CYCLE_S = 12.0
_MAX_STAGGER_S = 1.5
_WALK_S = (2.0, 3.0)
_STAND_S = (3.5, 5.0)
# Faces as a part of the picture's height, at most: a person at arm's length from a sign.
_MAX_FACE = 0.34
# Height of a face as a part of its band's: bands never meet, so nobody hides anybody.
_FACE_IN_BAND = 0.8


@dataclass(frozen=True, slots=True)
class FaceFacts:
    """One face of nobody: what is true of it."""

    gender: Literal["female", "male"]
    age_years: float
    width_by_height: float


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """One person in view. `box` is the whole face, in pixels of the picture; `visible` the part of it inside, 0..1."""

    person_id: int
    face: int
    gender: Literal["female", "male"]
    age_years: float
    box: Box
    visible: float
    standing: bool


@dataclass(frozen=True, slots=True)
class _Visit:
    person_id: int
    face: int
    height_px: float
    x_px: float
    y_px: float
    from_x_px: float
    starts_s: float
    walk_s: float
    stand_s: float


class Crowd:
    """At most `people` at a time: one on the left and one on the right of each band of the picture, far ones above."""

    def __init__(
        self, faces: Sequence[FaceFacts], people: int, size_px: tuple[int, int], seed: int, stay: bool = False
    ) -> None:
        self._faces = faces
        self._people = people
        self._width_px, self._height_px = size_px
        self._seed = seed
        self._stay = stay
        self._bands = max(math.ceil(people / 2), 1)
        order = list(range(len(faces)))
        Random(f"{seed}").shuffle(order)
        # Women and men in turn: whoever comes in where somebody has just left is seen to be another.
        by_gender = [[face for face in order if faces[face].gender == gender] for gender in ("female", "male")]
        self._orders = [each or order for each in by_gender]
        self._visits: dict[int, tuple[int, _Visit]] = {}

    def at(self, t_s: float) -> list[DemoPerson]:
        """Return those in view `t_s` seconds after the start, far ones first."""
        found = [person for slot in range(self._people) if (person := self._in_slot(slot, t_s)) is not None]
        return sorted(found, key=lambda person: person.box.y2)

    def _in_slot(self, slot: int, t_s: float) -> DemoPerson | None:
        stagger_s = min(_MAX_STAGGER_S, _CYCLE_S / 2 / self._people) * slot
        number = 0 if self._stay else math.floor((t_s - stagger_s) / _CYCLE_S)
        if number < 0:
            return None
        held = self._visits.get(slot)
        if held is None or held[0] != number:
            held = number, self._visit(slot, number, 0.0 if self._stay else stagger_s + number * _CYCLE_S)
            self._visits[slot] = held
        return self._person(held[1], t_s)

    def _visit(self, slot: int, number: int, starts_s: float) -> _Visit:
        random = Random(f"{self._seed}/{slot}/{number}")
        band_px = self._height_px / self._bands
        order = self._orders[(slot + number) % 2]
        face = order[(slot + number * self._people) // 2 % len(order)]
        aspect = self._faces[face].width_by_height
        tallest_px = min(_MAX_FACE * self._height_px, _FACE_IN_BAND * band_px, 0.4 * self._width_px / aspect)
        height_px = tallest_px * random.uniform(0.7, 1.0)
        half_px = height_px * aspect / 2
        left = slot % 2 == 0
        x_px = random.uniform(half_px * 1.3, self._width_px / 2 - half_px * 1.1)
        spare_px = band_px * (1 - _FACE_IN_BAND) / 4
        y_px = (slot // 2 + 0.5) * band_px + random.uniform(-spare_px, spare_px)
        return _Visit(
            person_id=slot + number * self._people,
            face=face,
            height_px=height_px,
            x_px=x_px if left else self._width_px - x_px,
            y_px=y_px,
            from_x_px=-half_px if left else self._width_px + half_px,
            starts_s=starts_s,
            walk_s=random.uniform(*_WALK_S),
            stand_s=random.uniform(*_STAND_S),
        )

    def _person(self, visit: _Visit, t_s: float) -> DemoPerson | None:
        since_s = t_s - visit.starts_s
        leaves_s = visit.walk_s + visit.stand_s
        standing = self._stay or visit.walk_s <= since_s <= leaves_s
        if standing:
            way = 1.0
        elif since_s < visit.walk_s:
            way = _ease(since_s / visit.walk_s)
        else:
            way = _ease(1 - (since_s - leaves_s) / visit.walk_s)
        sway = math.sin(2 * math.pi * (0.4 if standing else 1.8) * since_s) * visit.height_px * 0.012
        x_px = visit.from_x_px + (visit.x_px - visit.from_x_px) * way + (sway if standing else 0.0)
        y_px = visit.y_px + (0.0 if standing else sway)
        facts = self._faces[visit.face]
        half_px = visit.height_px * facts.width_by_height / 2
        box = Box(x_px - half_px, y_px - visit.height_px / 2, x_px + half_px, y_px + visit.height_px / 2)
        visible = (min(box.x2, self._width_px) - max(box.x1, 0.0)) / box.width
        if visible <= 0:
            return None
        return DemoPerson(visit.person_id, visit.face, facts.gender, facts.age_years, box, min(visible, 1.0), standing)


def _ease(part: float) -> float:
    """Smooth start and stop over 0..1."""
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)
