"""Simulated audiences, and the messages that a device with such an audience sends (docs/messages.md).

What is simulated is the people. Numbers, rounding and identity follow the contract, and the intake checks each message
against the types that the daemon's own are made from.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

BANDS = ("0-12", "13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")
MIN_CELL = 5
HOUR_S = 3600
ENGAGED_SHARE, MEAN_DWELL_S, MEAN_LOOK_S = 0.55, 6.0, 2.6


@dataclass(frozen=True, slots=True)
class Place:
    """`busy`: viewers an hour by hour of the day, at noon's height `peak`; `women` and `ages` their shares."""

    name: str
    site: str
    peak: float
    opens: int
    closes: int
    women: float
    ages: tuple[float, ...]
    content: tuple[str, ...]

    def viewers_an_hour(self, hour: int) -> float:
        if not self.opens <= hour < self.closes:
            return 0.0
        middle, half = (self.opens + self.closes) / 2, (self.closes - self.opens) / 2
        return self.peak * (0.35 + 0.65 * math.cos((hour + 0.5 - middle) / half * math.pi / 2))


PLACES = (
    Place("lobby", "north", 90, 7, 20, 0.48, (1, 2, 9, 28, 27, 20, 11, 2), ("spring-sale", "news", "weather")),
    Place("bakery", "north", 160, 6, 19, 0.58, (6, 5, 10, 17, 18, 16, 14, 14), ("croissant", "spring-sale")),
    Place("station", "south", 420, 5, 24, 0.47, (4, 9, 22, 24, 16, 12, 8, 5), ("spring-sale", "cola", "news")),
    Place("cinema", "south", 240, 13, 24, 0.52, (10, 16, 26, 22, 12, 8, 4, 2), ("premiere", "cola", "popcorn")),
    Place("library", "north", 40, 9, 18, 0.56, (12, 9, 18, 14, 12, 11, 10, 14), ("reading", "spring-sale")),
)


@dataclass(slots=True)
class Hours:
    """People of one demographics period by (content, gender, age band), and what is carried to the next."""

    new: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    carried: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    covered_s: float = 0.0


class Audience:
    """Makes the windows of one place in turn. One seed, one audience."""

    def __init__(self, place: Place, seed: int) -> None:
        self.place = place
        self._random = random.Random(f"{place.name}-{seed}")
        self.hours = Hours()

    def window(self, start_s: int, length_s: int) -> dict[str, Any]:
        """Return the fields of a window that count people."""
        rate = self.place.viewers_an_hour(datetime.fromtimestamp(start_s, UTC).hour) * length_s / HOUR_S
        viewers = self._poisson(rate)
        content = self.place.content[start_s // 900 % len(self.place.content)]
        for _ in range(viewers):
            gender = "female" if self._random.random() < self.place.women else "male"
            band = self._random.choices(BANDS, self.place.ages)[0]
            self.hours.new[(content, gender, band)] += 1
        self.hours.covered_s += length_s
        engaged = sum(self._random.random() < ENGAGED_SHARE for _ in range(viewers))
        dwell_s = round(sum(self._random.expovariate(1 / MEAN_DWELL_S) for _ in range(viewers)), 1)
        look_s = round(dwell_s * MEAN_LOOK_S / MEAN_DWELL_S, 1)
        return _window(viewers, viewers + self._poisson(rate * 0.4), engaged, dwell_s, look_s, content, length_s)

    def _poisson(self, mean: float) -> int:
        """Knuth's method in steps, so that the exponential of a large mean does not vanish."""
        total, steps = 0, max(1, math.ceil(mean / 30))
        for _ in range(steps):
            limit, product = math.exp(-mean / steps), self._random.random()
            while product > limit:
                total, product = total + 1, product * self._random.random()
        return total

    def demographics(self) -> dict[str, Any]:
        """Return the table of the period that ends now: multiples of k, the remainder carried to the next."""
        hours, cells = self.hours, []
        forward = sum(hours.carried.values())
        together = hours.new + hours.carried
        for content in self.place.content:
            for gender in ("female", "male"):
                for band in BANDS:
                    count = together[(content, gender, band)]
                    shown = count - count % MIN_CELL
                    sd = round(math.sqrt(shown * 0.3 + MIN_CELL**2 / 12), 1)
                    cells.append({"content": content, "gender": gender, "age_band": band, "viewers": shown, "sd": sd})
        told = sum(cell["viewers"] for cell in cells)
        fields = {
            "covered_s": hours.covered_s,
            "viewers": sum(hours.new.values()),
            "brought_forward": forward,
            "withheld": sum(together.values()) - told,
            "min_cell": MIN_CELL,
            "cells": cells,
        }
        rest = Counter({key: count % MIN_CELL for key, count in together.items() if count % MIN_CELL})
        self.hours = Hours(carried=rest)
        return fields


def _window(
    viewers: int, passed: int, engaged: int, dwell_s: float, look_s: float, content: str, length_s: int
) -> dict[str, Any]:
    mean = round(dwell_s / viewers, 1) if viewers else None
    classes = {"0-5": viewers - viewers // 3, "5-15": viewers // 3, "15-30": 0, "30-60": 0, "60+": 0}
    return {
        "covered_s": float(length_s),
        "opportunities_to_see": passed,
        "viewers": viewers,
        "engaged": engaged,
        "conversion": round(viewers / passed, 3) if passed else None,
        "dwell": {"total_s": dwell_s, "mean_s": mean, "histogram": classes},
        "attention": {
            "viewers": viewers,
            "total_s": look_s,
            "mean_s": round(look_s / viewers, 1) if viewers else None,
            "glances": viewers,
        },
        "audience": {"mean": round(dwell_s / length_s, 2), "peak": min(viewers, 6)},
        "demographics": None,
        "content": [
            {
                "id": content,
                "shown_s": float(length_s),
                "mean_count": round(dwell_s / length_s, 2),
                "viewers": viewers,
                "dwell_s": dwell_s,
                "attention_s": look_s,
                "exposure": round(dwell_s / length_s, 2),
                "demographics": None,
            }
        ],
        "light": 110.0,
        "throttled": False,
    }
