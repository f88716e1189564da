from itertools import pairwise

import pytest

from edge_agender.config.settings import PublishConfig
from edge_agender.daemon.frame_policy import FramePolicy


def published(policy: FramePolicy, frames: list[tuple[float, int]]) -> list[float]:
    return [now_s for now_s, count in frames if policy.due(("f", count), count, now_s)]


def frames(count: int, *, start_s: float = 0.0, rate_hz: float = 10.0, seconds: float = 2.0) -> list[tuple[float, int]]:
    return [(start_s + i / rate_hz, count) for i in range(int(seconds * rate_hz))]


def test_every_frame_with_people_is_published() -> None:
    assert len(published(FramePolicy(PublishConfig(frames="every")), frames(2))) == 20


def test_an_empty_scene_is_published_once_a_second() -> None:
    assert published(FramePolicy(PublishConfig()), frames(0, seconds=3)) == [0.0, 1.0, 2.0]


def test_idle_zero_publishes_every_empty_frame() -> None:
    assert len(published(FramePolicy(PublishConfig(idle_s=0)), frames(0))) == 20


def test_the_last_one_leaving_is_published_at_once() -> None:
    policy = FramePolicy(PublishConfig(frames="every"))
    assert published(policy, [(0.0, 1), (0.1, 0), (0.2, 0)]) == [0.0, 0.1]


@pytest.mark.parametrize(("max_rate_hz", "expected"), [(5.0, 10), (2.0, 4), (100.0, 20)])
def test_rate_keeps_to_its_maximum(max_rate_hz: float, expected: int) -> None:
    policy = FramePolicy(PublishConfig(frames="rate", max_rate_hz=max_rate_hz))
    assert len(published(policy, frames(1))) == expected


def test_rate_keeps_to_its_maximum_also_where_somebody_flickers() -> None:
    policy = FramePolicy(PublishConfig(frames="rate", max_rate_hz=5.0))
    times = published(policy, [(i / 16, i % 2) for i in range(65)])
    assert len(times) > 10
    assert min(later - sooner for sooner, later in pairwise(times)) >= 0.198


def test_change_publishes_only_differences() -> None:
    policy = FramePolicy(PublishConfig(frames="change"))
    assert published(policy, [(0.0, 1), (0.1, 1), (0.2, 2), (0.3, 2), (0.4, 1)]) == [0.0, 0.2, 0.4]
