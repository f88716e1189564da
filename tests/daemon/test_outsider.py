"""An outsider who keeps everything that leaves the device and knows all but one person: does another one change a byte?

Two days are lived that differ in one who came alone: how long, looking for how long, who it was, before which content.
Every message, the page, the metrics and what Home Assistant shows of both days must be the same at level aggregate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge_agender.audience import counting, periods, privacy
from edge_agender.audience.measures import FrameView
from edge_agender.audience.privacy import Gate
from edge_agender.config.settings import PrivacyConfig
from edge_agender.messages import discovery
from edge_agender.web import metrics, view
from tests.support.traffic import Guest, day

# A minute of many, then one who comes alone, three minutes later: in the next period.
CROWD = tuple(Guest(2.0 + at % 7, 20.0 + at, 20.0 + 4 * at, (at % 2) * 0.9 + 0.05) for at in range(12))
ALONE = Guest(183.0, 6.0)
OTHERS = {
    "stayed longer": replace(ALONE, stay_s=25.0),
    "looked away soon": replace(ALONE, looks_s=1.0),
    "was an old man": replace(ALONE, years=71.0, p_female=0.03),
    "came before the other content": replace(ALONE, came_s=214.0),
}
# What a lone one changes there is what the level is for.
OF_THE_MOMENT = {"frame", "page", "home_assistant", "metrics"}


def told(guest: Guest, *options: str) -> dict[str, list[Any]]:
    with pytest.MonkeyPatch.context() as patch:
        return day([*CROWD, guest], patch, "demographics.period_s=180", *options, restarts=(100.0, 181.0, 250.0))


def differing(other: Guest, *options: str) -> set[str]:
    """Return the kinds that the outsider can tell the two days apart by."""
    one, two = told(ALONE, *options), told(other, *options)
    return {kind for kind in one.keys() | two.keys() if one.get(kind) != two.get(kind)}


AGGREGATE = "privacy.level=aggregate"


@pytest.mark.parametrize("split", ["none", "content"])
@pytest.mark.parametrize("how", OTHERS)
def test_nothing_at_aggregate_tells_of_one_who_came_alone(how: str, split: str) -> None:
    assert differing(OTHERS[how], AGGREGATE, f"demographics.split={split}") == set()


def test_at_level_frame_who_it_was_is_told_by_the_moment_only() -> None:
    assert differing(OTHERS["was an old man"]) <= OF_THE_MOMENT


def test_the_days_have_everything_that_an_outsider_sees() -> None:
    kinds = {"window", "demographics", "status", "enabled", "health", "discovery", "home_assistant", "page", "metrics"}
    assert told(ALONE, AGGREGATE).keys() == kinds
    assert told(ALONE, "privacy.level=viewer").keys() == kinds | {"frame", "viewer"}


# Leaks, one a kind: each must be found.
# Leaks, one a kind of what leaves the device: each must be found.
def frames_anyway(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gate, "frame", lambda self, view: replace(view, people=None))


def visits_anyway(patch: pytest.MonkeyPatch) -> None:
    real, open_gate = Gate.viewer, Gate(PrivacyConfig(level="viewer"))
    patch.setattr(Gate, "viewer", lambda self, visit: real(open_gate, visit))


def few_in_a_window(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(privacy, "fewest", lambda config: 1)
    patch.setattr(counting, "fewest", lambda config: 1)


def contents_of_few(patch: pytest.MonkeyPatch) -> None:
    real = privacy._contents
    patch.setattr(privacy, "_contents", lambda content, fewest, **known: real(content, 1, **known))


def an_empty_table_with_a_name(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(periods, "_published", lambda cells, k: tuple((key, n, 1.0) for key, n in cells.items()))


def work_in_health(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("edge_agender.daemon.health._without_work", lambda sample: sample)


def people_in_metrics(patch: pytest.MonkeyPatch) -> None:
    real = metrics._gauges
    seen = _latest(patch)
    patch.setattr(metrics, "_gauges", lambda snapshot, now_s: [*real(snapshot, now_s), ("lone", "", seen[-1].count)])


def people_on_the_page(patch: pytest.MonkeyPatch) -> None:
    real, seen = view.page, _latest(patch)
    patch.setattr(view, "page", lambda *args: {**real(*args), "now": seen[-1].mean_age})


def people_in_discovery(patch: pytest.MonkeyPatch) -> None:
    real, seen = discovery._components, _latest(patch)
    patch.setattr(
        discovery, "_components", lambda *args: {**real(*args), "lone": {"name": str([each.mean_age for each in seen])}}
    )


def people_in_home_assistant(patch: pytest.MonkeyPatch) -> None:
    work_in_health(patch)
    entry = {"name": "Faces", "value": "value_json.estimates_saved"}
    patch.setitem(discovery._HEALTH, "faces", entry)


def _latest(patch: pytest.MonkeyPatch) -> list[FrameView]:
    """Return a list into which every frame's audience is put."""
    seen: list[FrameView] = [FrameView(0, 0.0, 0, {}, {}, {}, None, None)]
    real: Callable[..., Any] = Gate.frame

    def frame(self: Gate, view: FrameView) -> FrameView | None:
        seen.append(view)
        released: FrameView | None = real(self, view)
        return released

    patch.setattr(Gate, "frame", frame)
    return seen


@pytest.mark.parametrize(
    ("leak", "how", "kind", "split"),
    [
        (frames_anyway, "was an old man", "frame", "none"),
        (visits_anyway, "stayed longer", "viewer", "none"),
        (few_in_a_window, "stayed longer", "window", "none"),
        (few_in_a_window, "looked away soon", "window", "none"),
        (contents_of_few, "came before the other content", "window", "none"),
        (an_empty_table_with_a_name, "came before the other content", "demographics", "content"),
        (work_in_health, "stayed longer", "health", "none"),
        (people_in_metrics, "stayed longer", "metrics", "none"),
        (people_on_the_page, "was an old man", "page", "none"),
        (people_in_discovery, "was an old man", "discovery", "none"),
        (people_in_home_assistant, "stayed longer", "home_assistant", "none"),
    ],
)
def test_a_planted_leak_is_found(
    leak: Callable[[pytest.MonkeyPatch], None], how: str, kind: str, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak(monkeypatch)
    assert kind in differing(OTHERS[how], AGGREGATE, f"demographics.split={split}")
