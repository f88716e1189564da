import cv2
import numpy as np
import pytest

from edge_agender.config.settings import GatingConfig
from edge_agender.imaging.frame import Picture
from edge_agender.vision.gating import Cadence, MotionGate

RATE_HZ = 15


def scene(seed: int, luma: float = 120.0, noise: float = 4.0) -> Picture:
    random = np.random.default_rng(seed)
    return np.clip(random.normal(luma, noise, (240, 320)), 0, 255).astype(np.uint8)


def with_head(picture: Picture, x: int, size: int = 20) -> Picture:
    out = picture.copy()
    out[100 : 100 + size, x : x + size] = 190
    return out


def test_what_a_frame_was_compared_by_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    accumulate, partition = cv2.accumulateWeighted, np.partition

    def accumulated(grid: np.ndarray, background: np.ndarray, weight: float) -> np.ndarray:
        seen.append(grid)
        return accumulate(grid, background, weight)

    def partitioned(values: np.ndarray, *args: int | None, **options: int | None) -> np.ndarray:
        seen.extend((values, partition(values, *args, **options)))
        return seen[-1]

    monkeypatch.setattr(cv2, "accumulateWeighted", accumulated)
    monkeypatch.setattr(np, "partition", partitioned)
    gate = MotionGate(GatingConfig().motion_luma)
    gate.moved(scene(0), 0.0)
    small = with_head(scene(1), 100)
    before = small.copy()
    assert gate.moved(small, 0.1)
    assert (small == before).all()
    assert len(seen) == 3
    assert not any(each.any() for each in seen)


def detections(config: GatingConfig, pictures: list[Picture], *, people: bool = False) -> int:
    cadence = Cadence(config)
    return sum(cadence.due(picture, i / RATE_HZ, people=people) for i, picture in enumerate(pictures))


def test_noise_is_no_motion_and_a_still_scene_is_searched_twice_a_second() -> None:
    assert detections(GatingConfig(), [scene(i) for i in range(60)]) == pytest.approx(8, abs=1)


def test_a_small_head_walking_by_is_motion() -> None:
    gate = MotionGate(GatingConfig().motion_luma)
    gate.moved(scene(0), 0.0)
    moved = [gate.moved(with_head(scene(i), 4 * i), i / RATE_HZ) for i in range(1, 60)]
    assert all(moved)


def test_a_walk_by_is_searched_at_the_active_rate() -> None:
    pictures = [with_head(scene(i), 4 * i) for i in range(60)]
    assert detections(GatingConfig(active_interval_s=0.0), pictures) == 60
    assert detections(GatingConfig(active_interval_s=0.1), pictures) == pytest.approx(30, abs=1)


def test_light_that_changes_everywhere_is_no_motion() -> None:
    gate = MotionGate(GatingConfig().motion_luma)
    gate.moved(scene(0, 100), 0.0)
    assert not any(gate.moved(scene(i, 100 + 2 * i), i / RATE_HZ) for i in range(1, 20))


def test_each_part_can_be_turned_off() -> None:
    still = [scene(i) for i in range(60)]
    assert detections(GatingConfig(motion=False, cadence=False), still) == 60
    assert detections(GatingConfig(motion=False, cadence=True, active_interval_s=0.1), still) == pytest.approx(
        30, abs=1
    )


def test_what_is_turned_off_costs_nothing_and_light_is_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MotionGate, "moved", lambda *_: pytest.fail("compared though motion is off"))
    cadence = Cadence(GatingConfig(motion=False))
    assert cadence.due(scene(0, luma=80.0), 0.0, people=False)
    assert cadence.mean_luma == pytest.approx(80, abs=1)


def test_motion_in_a_frame_passed_over_is_not_forgotten() -> None:
    cadence = Cadence(GatingConfig(active_interval_s=0.2))
    assert cadence.due(scene(0), 0.0, people=False)
    assert not cadence.due(with_head(scene(1), 100), 0.05, people=False)
    assert cadence.due(scene(2), 0.21, people=False)
