"""What a recording has shown so far, in numbers: viewers by gender and age band, attention, dwell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from edge_agender.audience.demography import GENDERS, AgeBands
from edge_agender.audience.measures import Person, Visit
from edge_agender.audience.visits import Presence


class Here(NamedTuple):
    """Somebody whose visit goes on."""

    person: Person
    presence: Presence


class RunningTable:
    """Adds visits up. Exact: it is shown to whoever plays the recording, and never sent."""

    def __init__(self, bands: AgeBands) -> None:
        self._bands = bands
        self._gone: list[Visit] = []
        self._here: Sequence[Here] = ()

    def add(self, visits: Iterable[Visit], here: Sequence[Here] = ()) -> None:
        """Take in visits that are over, and who is here now."""
        self._gone += visits
        self._here = here

    @property
    def viewers(self) -> int:
        return sum(visit.is_viewer for visit in self._gone) + sum(each.presence.is_viewer for each in self._here)

    def cells(self) -> dict[str, dict[str, int]]:
        """Return viewers by gender and age band, every cell, also the empty ones."""
        people = [visit.person for visit in self._gone if visit.is_viewer]
        people += [each.person for each in self._here if each.presence.is_viewer]
        counts = Counter((person.gender, self._bands.of(person.years)) for person in people)
        return {gender: {band: counts[gender, band] for band in self._bands.labels} for gender in GENDERS}

    def sentence(self) -> str:
        """Return such as "2 here, 5 viewers so far: 3 female, 2 male"."""
        return f"{len(self._here)} here, {self._viewers_text(' so far')}"

    def result(self) -> str:
        """Return the same of a recording that is over, such as "5 viewers: 3 female, 2 male"."""
        return self._viewers_text("")

    def _viewers_text(self, so_far: str) -> str:
        female, male, unknown = (sum(bands.values()) for bands in self.cells().values())
        noun = "viewer" if self.viewers == 1 else "viewers"
        genders = f"{female} female, {male} male" + (f", {unknown} unknown" if unknown else "")
        return f"{self.viewers} {noun}{so_far}: {genders}"

    def as_dict(self) -> dict[str, Any]:
        """Return the table in JSON's types."""
        viewers = [visit for visit in self._gone if visit.is_viewer]
        stays = [visit.dwell_s for visit in viewers]
        stays += [each.presence.dwell_s for each in self._here if each.presence.is_viewer]
        looks = [visit.attention_s for visit in viewers if visit.attention_s]
        looks += [each.presence.attention_s for each in self._here if each.presence.attention_s]
        return {
            "here": len(self._here),
            "passed": len(self._gone) + len(self._here),
            "viewers": self.viewers,
            "looked": len(looks),
            "mean_dwell_s": _mean(stays),
            "mean_attention_s": _mean(looks),
            "cells": self.cells(),
        }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 1) if values else None
