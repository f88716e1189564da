"""Made-up visits for tests."""

from __future__ import annotations

from typing import Any

from edge_agender.audience.measures import Person, Visit
from edge_agender.vision.faces import Estimate

NOON_S = 1_700_049_600.0


def visit(last_s: float = 0.0, dwell_s: float = 4.0, **changes: Any) -> Visit:
    """A visit that ends `last_s` after a full hour."""
    values: dict[str, Any] = {
        "first_utc_s": NOON_S + last_s - dwell_s,
        "last_utc_s": NOON_S + last_s,
        "dwell_s": dwell_s,
        "attention_s": 2.0,
        "glances": 1,
        "person": Person(30.0, 5.0, "female", 0.9),
        "estimate": Estimate(30.0, 5.0, 0.9),
        "distance": "mid",
        "content": (),
        "is_pass": True,
        "is_viewer": True,
        "is_engaged": True,
    }
    return Visit(**{**values, **changes})
