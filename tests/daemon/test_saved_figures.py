"""Whatever a state file says of the figures, it is refused in one line, or counting goes on and messages are valid."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agender.config.load import load
from edge_agender.daemon.reporter import Reporter
from edge_agender.messages.sender import sender_of
from tests.daemon.test_reporter import START_S, observation
from tests.support.message_check import check


def reporter() -> Reporter:
    config = load(None, ["source.kind=demo", "demographics.split=content", "demographics.period_s=900"])
    return Reporter(config, sender_of(config))


def real() -> dict[str, Any]:
    """The figures of a minute and a bit before several people, with content, as plain JSON."""
    from edge_agender.audience.measures import Content

    work = reporter()
    work.show(Content("sale"))
    for i in range(0, 900, 5):
        list(work.observe(observation(i, people=3 if i < 400 else 0)))
    return json.loads(json.dumps(work.snapshot()))


REAL = real()


def paths(node: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [way, *(path for key, value in inner for path in paths(value, (*way, key)))]


ODD = st.sampled_from(
    [None, True, False, -1, 0, 1, 1.5, 10**17, 1e308, "", "x", "sale", [], {}, [[]], [None], {"a": 1}, [1, 2], -1e-9]
)


def changed(path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    data = node = copy.deepcopy(REAL)
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return data


def goes_on(data: Any) -> bool:
    """Restore, count on and publish; False where it was refused."""
    work = reporter()
    try:
        work.restore(data, START_S + 90)
    except ValueError:
        return False
    for i in range(1000, 1100, 5):
        list(work.observe(observation(i, people=2)))
    list(work.end_visits())
    for message in (*work.windows_due(START_S + 4000), *work.close_windows(START_S + 4000)):
        check(message.payload)
    json.dumps(work.snapshot(), allow_nan=False)
    return True


def test_the_real_figures_are_taken() -> None:
    assert goes_on(REAL)


@given(st.sampled_from(paths(REAL)), ODD)
def test_any_one_value_that_is_odd_is_refused_or_harmless(path: tuple[Any, ...], value: Any) -> None:
    goes_on(changed(path, value))


@pytest.mark.parametrize("path", paths(REAL), ids=str)
def test_a_value_of_another_type_never_ends_the_counting(path: tuple[Any, ...]) -> None:
    for wrong in ("wrong", [["wrong"]], -7):
        goes_on(changed(path, wrong))
