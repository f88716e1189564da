"""One recording -> figures: who came when, how sure, how large and how well lit the faces were."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agender.audience.measures import Visit
from edge_agender.config.settings import Config
from edge_agender.recordings.play import Player, Step

# Columns of the chart of people by time, at most.
MOST_BINS = 60


@dataclass(slots=True)
class Faces:
    """How the faces that were looked at came out, one entry a face and search."""

    heights_px: list[float] = field(default_factory=list)
    too_small: int = 0
    unconfirmed: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """What one recording showed. Times are seconds since its first picture; `people` is (t_s, how many are in view)."""

    name: str
    seconds: float
    visits: tuple[Visit, ...]
    people: tuple[tuple[float, int], ...]
    faces: Faces
    lumas: tuple[float, ...]

    @property
    def viewers(self) -> list[Visit]:
        return [visit for visit in self.visits if visit.is_viewer]

    def people_by_time(self) -> list[tuple[float, float, int]]:
        """Return (from_s, mean people, most people) of equal parts of the recording."""
        count = max(min(MOST_BINS, round(self.seconds)), 1)
        length_s = max(self.seconds, 1e-3) / count
        parts: list[list[int]] = [[] for _ in range(count)]
        for t_s, here in self.people:
            parts[min(int(t_s / length_s), count - 1)].append(here)
        return [
            (number * length_s, statistics.fmean(part) if part else 0.0, max(part, default=0))
            for number, part in enumerate(parts)
        ]

    def sentence(self) -> str:
        """Return the result in one line."""
        if not self.visits:
            return f"{self.name}: {self.seconds:.0f} s, nobody was counted"
        female, male = (sum(visit.person.gender == each for visit in self.viewers) for each in ("female", "male"))
        stay = statistics.fmean(visit.dwell_s for visit in self.viewers) if self.viewers else 0.0
        unknown = len(self.viewers) - female - male
        genders = f"{female} female, {male} male" + (f", {unknown} unknown" if unknown else "")
        noun = "viewer" if len(self.viewers) == 1 else "viewers"
        return f"{self.name}: {self.seconds:.0f} s, {len(self.viewers)} {noun} ({genders}), {stay:.1f} s on average"

    def as_dict(self) -> dict[str, Any]:
        """Return the figures in JSON's types; single visits are the recording's owner's to see."""
        return {
            "name": self.name,
            "seconds": round(self.seconds, 1),
            "viewers": len(self.viewers),
            "passed": len(self.visits),
            "visits": [_visit(visit) for visit in self.visits],
            "face_height_px": _median(self.faces.heights_px),
            "too_small": self.faces.too_small,
            "unconfirmed": self.faces.unconfirmed,
            "light": _median(self.lumas),
        }


def collect(name: str, config: Config) -> Recording:
    """Play a recording as fast as it goes; raise what its source raises."""
    visits: list[Visit] = []
    people, lumas, faces, seconds = [], [], Faces(), 0.0
    # From 0, so that the visits' times are seconds of the recording.
    with Player(config, start_utc_s=0.0) as player:
        for step in player.steps():
            if step is None:
                continue
            visits += step.visits
            now_s = step.observation.captured_s
            seen = [face for face in step.observation.faces if now_s - face.last_seen_s <= config.audience.hold_s]
            people.append((step.t_s, len(seen)))
            lumas.append(step.observation.mean_luma)
            seconds = step.t_s
            if step.observation.searched:
                _look(step, faces)
        visits += player.close_visits()
    visits.sort(key=lambda visit: visit.first_utc_s)
    return Recording(name, seconds, tuple(visits), tuple(people), faces, tuple(lumas))


def _look(step: Step, faces: Faces) -> None:
    width, height = step.observation.picture_px
    for face in step.observation.faces:
        if face.last_seen_s == step.observation.captured_s:
            faces.heights_px.append(face.box.height)
            box = face.box
            faces.cut += box.x1 <= 1 or box.y1 <= 1 or box.x2 >= width - 1 or box.y2 >= height - 1
    faces.too_small += len(step.too_small)
    faces.unconfirmed += len(step.unconfirmed)


def _visit(visit: Visit) -> dict[str, Any]:
    person = visit.person
    return {
        "entered_s": round(visit.first_utc_s, 1),
        "left_s": round(visit.last_utc_s, 1),
        "viewer": visit.is_viewer,
        "gender": person.gender,
        "confidence": None if person.gender_confidence is None else round(person.gender_confidence, 2),
        "years": None if person.years is None else round(person.years, 1),
        "years_sd": None if person.years_sd is None else round(person.years_sd, 1),
        "attention_s": None if visit.attention_s is None else round(visit.attention_s, 1),
    }


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 1) if values else None
