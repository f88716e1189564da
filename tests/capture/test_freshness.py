"""A frozen camera and a covered lens are noticed; noise, night and people who stand still are not taken for either."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agender.capture import freshness as module
from edge_agender.capture.freshness import DARK_AFTER_S, FROZEN, Freshness
from edge_agender.capture.sources import open_source
from edge_agender.capture.thread import Capture
from edge_agender.config.settings import OpencvConfig, SourceConfig
from tests.support import videos
from tests.support.broker import wait_until
from tests.support.network_camera import NetworkCamera, jpeg

AFTER_S = 10.0
# It looks twice a second: more pictures cost the test time and change nothing.
RATE_HZ = 4.0
Luma = NDArray[np.uint8]


def scene(seed: int = 0, size: tuple[int, int] = (320, 240)) -> Luma:
    """A scene with light and shade, without noise."""
    coarse = np.random.default_rng(seed).integers(40, 200, (12, 16), np.uint8)
    return np.asarray(np.kron(coarse, np.ones((size[1] // 12, size[0] // 16))), np.uint8)


def noisy(level: float, picture: Luma | None = None) -> Iterator[Luma]:
    random = np.random.default_rng(2)
    base = scene() if picture is None else picture
    while True:
        yield np.clip(base + random.normal(0, level, base.shape), 0, 255).round().astype(np.uint8)


def looked_at(
    pictures: Iterable[Luma], seconds: float, rate_hz: float = RATE_HZ, after_s: float = AFTER_S
) -> list[tuple[bool, bool]]:
    """Whether it was taken for frozen, and for dark, after each picture."""
    fresh = Freshness(after_s)
    found = []
    for number, picture in zip(range(round(seconds * rate_hz)), pictures, strict=False):
        fresh.look(picture, number / rate_hz)
        found.append((fresh.frozen, fresh.dark))
    return found


def test_one_picture_again_and_again_is_frozen_after_the_time_that_is_set() -> None:
    found = [frozen for frozen, _ in looked_at(repeat(scene()), 20.0)]
    assert not any(found[: round(AFTER_S * RATE_HZ)])
    assert all(found[round((AFTER_S + 1) * RATE_HZ) :])


def test_a_frozen_picture_that_moves_again_is_fresh_at_once() -> None:
    found = looked_at(chain((scene() for _ in range(80)), noisy(1.0)), 22.0)
    assert found[79][0]
    assert not found[79 + 3][0]


def test_turned_off_nothing_is_frozen() -> None:
    assert not any(frozen for frozen, _ in looked_at(repeat(scene()), 60.0, after_s=0.0))


@pytest.mark.parametrize("level", [0.4, 1.0, 4.0])
def test_noise_of_a_sensor_is_not_frozen(level: float) -> None:
    assert not any(frozen for frozen, _ in looked_at(noisy(level), 30.0))


def test_a_slow_camera_is_not_frozen_before_it_has_been_looked_at_often_enough() -> None:
    found = looked_at(repeat(scene()), 60.0, rate_hz=0.2)
    assert not any(frozen for frozen, _ in found[:3])
    assert found[-1][0]


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_one_colour_for_a_minute_is_a_covered_lens_and_no_frozen_one(level: int) -> None:
    found = looked_at(noisy(1.0, np.full((240, 320), level, np.uint8)), DARK_AFTER_S + 10)
    assert not any(frozen for frozen, _ in found)
    assert not any(dark for _, dark in found[: round(DARK_AFTER_S * RATE_HZ)])
    assert found[-1][1]


def test_clipped_black_is_dark_and_not_frozen() -> None:
    found = looked_at(repeat(np.zeros((240, 320), np.uint8)), DARK_AFTER_S + 10)
    assert not any(frozen for frozen, _ in found)
    assert found[-1][1]


def test_light_that_comes_back_ends_the_alarm() -> None:
    dark = (np.full((240, 320), 4, np.uint8) for _ in range(round((DARK_AFTER_S + 5) * RATE_HZ)))
    found = looked_at(chain(dark, noisy(1.0)), DARK_AFTER_S + 8)
    assert found[round((DARK_AFTER_S + 4) * RATE_HZ)][1]
    assert not found[-1][1]


def coded(tmp_path: Path, pictures: Iterable[videos.Image]) -> Iterator[Luma]:
    """The pictures after an encoder with key frames and a bit rate that varies their quality."""
    path = videos.write(tmp_path / "coded.mp4", pictures, options={"g": "30", "b": "300k", "preset": "superfast"})
    config = SourceConfig(kind="opencv", opencv=OpencvConfig(uri=str(path), pace=False))
    with open_source(config, threading.Event()) as source:
        while (frame := source.read()) is not None:
            yield frame.small.copy()


def with_clock(picture: videos.Image, number: int) -> videos.Image:
    """The picture with a clock of seconds drawn over it."""
    drawn = picture.copy()
    random = np.random.default_rng(number // 15)
    drawn[20:36, 20:60] = np.kron(random.integers(0, 2, (4, 10, 1), np.uint8) * 255, np.ones((4, 4, 3))).astype(
        np.uint8
    )
    return drawn


@pytest.mark.parametrize("clock", [False, True])
def test_a_frozen_sensor_behind_an_encoder_and_under_a_clock_is_frozen(clock: bool, tmp_path: Path) -> None:
    still = videos.people(1)[0]
    pictures = (with_clock(still, number) if clock else still for number in range(300))
    assert looked_at(coded(tmp_path, pictures), 20.0, rate_hz=15.0)[-1][0]


@pytest.mark.parametrize("noise", [0.7, 3.0])
def test_a_still_scene_behind_an_encoder_is_not_frozen(noise: float, tmp_path: Path) -> None:
    random, still = np.random.default_rng(0), videos.people(1)[0]
    pictures = (
        np.clip(still + random.normal(0, noise, still.shape[:2])[:, :, None], 0, 255).astype(np.uint8)
        for _ in range(150)
    )
    assert not any(frozen for frozen, _ in looked_at(coded(tmp_path, pictures), 10.0, rate_hz=15.0, after_s=5.0))


def test_people_who_stand_there_are_not_frozen(tmp_path: Path) -> None:
    assert not any(
        frozen for frozen, _ in looked_at(coded(tmp_path, videos.people(150)), 10.0, rate_hz=15.0, after_s=5.0)
    )


def test_a_frozen_camera_is_opened_again_its_frames_held_back_and_its_recovery_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_FIRST_REOPEN_S", 0.5)
    camera = NetworkCamera(picture=jpeg(videos.people(1)[0]))
    config = SourceConfig(kind="opencv", frozen_after_s=1.0, opencv=OpencvConfig(uri=camera.uri))
    with camera.on():
        capture = Capture(config, until_end=False)
        try:
            wait_until(lambda: capture.problem == FROZEN)
            wait_until(lambda: camera.connections >= 3)
            while (frame := capture.slot.take(0)) is not None:  # what came before it was known
                frame.release()
            held = capture.counts.captured
            seen = camera.connections
            wait_until(lambda: camera.connections > seen)
            assert capture.counts.captured == held
            camera.picture = jpeg(videos.empty(1)[0])
            wait_until(lambda: capture.problem is None)
            wait_until(lambda: capture.counts.captured > held)
            assert capture.counts.restarts >= 2
        finally:
            capture.close()
