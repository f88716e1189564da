"""What the status page is fed with, from a real engine on the demo."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agender.daemon.status import StatusFeed
from edge_agender.imaging.geometry import Box
from edge_agender.messages.sender import sender_of
from edge_agender.vision.faces import StillFace
from edge_agender.web.snapshot import AimFace, LiveState
from tests.daemon.test_engine import engine_on, run


def aimed_at(folder: Path, focal_px: float | None, *options: str) -> list[AimFace]:
    """Return the first faces that are shown to whoever aims, seen through that lens."""
    live = LiveState()
    with engine_on(folder, *options) as (engine, sink, _), live.aiming():
        feed = StatusFeed(live, engine, sink, sender_of(engine.config))
        run(engine, until=lambda: engine.observation is not None and bool(engine.observation.faces))
        assert engine.observation is not None
        engine.observation = replace(engine.observation, focal_px=focal_px)
        feed.update(0.0)
    shown = live.read()
    assert shown is not None
    return list(shown.faces)


@pytest.mark.parametrize(
    ("known_px", "options", "counted_px"),
    [
        (1000.0, (), 1000.0),
        (None, (), 320 / math.tan(math.radians(31))),
        (1000.0, ("audience.distance.lens_hfov_deg=90",), 320.0),
    ],
)
def test_whoever_aims_is_told_distances_by_the_lens_that_windows_count_with(
    tmp_path: Path, known_px: float | None, options: tuple[str, ...], counted_px: float
) -> None:
    faces = aimed_at(tmp_path, known_px, *options)
    assert faces
    for face in faces:
        assert face.distance_cm == pytest.approx(20 * counted_px / (face.height * 480))


def test_faces_are_shown_to_nobody_else(tmp_path: Path) -> None:
    live = LiveState()
    with engine_on(tmp_path) as (engine, sink, _):
        feed = StatusFeed(live, engine, sink, sender_of(engine.config))
        run(engine, until=lambda: engine.observation is not None and bool(engine.observation.faces))
        feed.update(0.0)
    shown = live.read()
    assert shown is not None
    assert shown.faces == ()


def test_whoever_aims_sees_where_a_picture_of_a_face_is(tmp_path: Path) -> None:
    live = LiveState()
    with engine_on(tmp_path) as (engine, sink, _), live.aiming():
        feed = StatusFeed(live, engine, sink, sender_of(engine.config))
        run(engine, until=lambda: engine.observation is not None)
        assert engine.observation is not None
        engine.observation = replace(engine.observation, pictures=(StillFace(7, Box(320, 120, 384, 240)),))
        feed.update(0.0)
    shown = live.read()
    assert shown is not None
    assert shown.pictures == ((0.5, 0.25, 0.1, 0.25),)
