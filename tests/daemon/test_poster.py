"""The whole chain, the shipped detector first, before a picture of a face and before somebody who stands still."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_agender.capture.sources.crowd import Crowd, DemoPerson
from edge_agender.capture.sources.demo import _Painter
from edge_agender.daemon.alarms import picture_problems
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import StillFace
from edge_agender.vision.pipeline import Observation
from tests.support.engine import engine_on, run

pytestmark = pytest.mark.usefixtures("patient")

STANDS = ["source.rate_hz=2", "source.demo.people=1", "source.demo.stay=true", "privacy.level=viewer"]
# Of the generated picture's luma, as of a small sensor in a shop's light.
SENSOR_NOISE = 4.0


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    paint, random = _Painter.paint, np.random.default_rng(1)

    def noisily(self: _Painter, people: Sequence[DemoPerson], t_s: float) -> Picture:
        # The demo's wall moves, and the box of a face varies with what is behind it; a poster's wall does not.
        picture = paint(self, people, 0.0)
        return np.clip(picture + random.normal(0, SENSOR_NOISE, picture.shape), 0, 255).astype(np.uint8)

    monkeypatch.setattr(_Painter, "paint", noisily)


def watched(tmp_path: Path, duration_s: int) -> tuple[int, list[str]]:
    """Return how many viewers there were, and the alarms at the end."""
    with engine_on(tmp_path, *STANDS, f"source.demo.duration_s={duration_s}") as (engine, sink, _):
        run(engine, lambda: engine.pipeline.work.frames == 2 * duration_s - 4)
        engine.health.due_s = 0.0
        engine.step()
        alarms = sink.kind("health")[-1]["alarms"]
        engine.finish()
    return len(sink.kind("viewer")), alarms


@pytest.mark.usefixtures("noisy")
def test_a_picture_of_a_face_is_no_viewer_but_an_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = Crowd.at
    monkeypatch.setattr(Crowd, "at", lambda self, t_s: at(self, 5.0))
    viewers, alarms = watched(tmp_path, 45)
    assert viewers == 0
    assert [alarm.split(" at ")[0] for alarm in alarms] == ["a picture of a face"], alarms


@pytest.mark.usefixtures("noisy")
def test_who_stands_still_for_longer_than_that_is_a_viewer(tmp_path: Path) -> None:
    assert watched(tmp_path, 30) == (1, [])


def test_each_part_of_the_view_with_pictures_is_one_line() -> None:
    pictures = tuple(StillFace(i, Box(x, 10, x + 20, 40)) for i, x in enumerate((610, 10, 60)))
    seen = Observation(0, 0.0, 0.0, (), True, 100.0, (640, 480), pictures=pictures)
    assert [line.split(":")[0] for line in picture_problems(seen)] == [
        "a picture of a face at the left of the view",
        "a picture of a face at the right of the view",
    ]
