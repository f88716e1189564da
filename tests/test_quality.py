import cv2
import numpy as np
import pytest

from edge_agender.quality import detail, sharpness
from edge_agender.records import Box
from edge_agender.stages import StageTimes


def test_detail_grows_with_size_up_to_what_the_network_sees() -> None:
    values = [detail(Box(0, 0, side, side), 0.9) for side in (8, 16, 32, 48, 200)]
    assert values == sorted(values)
    assert values[-1] == values[-2] == pytest.approx(0.9)


def test_what_was_derived_from_a_face_is_overwritten_and_the_crop_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[np.ndarray] = []

    def note(name: str) -> None:
        work = getattr(cv2, name)
        monkeypatch.setattr(cv2, name, lambda *args, **options: made.append(work(*args, **options)) or made[-1])

    for name in ("resize", "extractChannel", "Laplacian"):
        note(name)
    for size in (64, 96):
        crop = np.random.default_rng(0).integers(1, 255, (size, size, 3), np.uint8)
        assert sharpness(crop) == 1.0
        assert crop.all()
    assert len(made) == 5
    assert not any(each.any() for each in made)


def test_blur_halves_a_crop_at_most() -> None:
    sharp = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 6)
    assert sharpness(sharp) == 1.0
    assert 0.5 <= sharpness(blurred) < 0.6


def test_stages_are_kept_within_bounds() -> None:
    times = StageTimes(keep=3)
    for value in range(5):
        times.add("detect", float(value))
    with times.measure("track"):
        pass
    assert times.samples()["detect"] == [2.0, 3.0, 4.0]
    assert len(times.samples()["track"]) == 1
    times.clear()
    assert times.samples() == {}


@pytest.mark.parametrize("size_px", [96, 128, 224])
def test_a_crop_for_a_larger_network_is_as_sharp(size_px: int) -> None:
    face = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), (0, 0), 1.5)
    larger = cv2.resize(face, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    assert 0.55 < sharpness(face) < 0.95
    assert sharpness(larger) == pytest.approx(sharpness(face), abs=0.1)
