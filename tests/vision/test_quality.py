import cv2
import numpy as np
import pytest

from edge_agender.common.timing import StageTimes
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box
from edge_agender.vision.frontalness import MARGIN, face_lumas
from edge_agender.vision.quality import detail, sharpness


def test_detail_grows_with_size_up_to_what_the_network_sees() -> None:
    values = [detail(Box(0, 0, side, side), 0.9) for side in (8, 16, 32, 48, 200)]
    assert values == sorted(values)
    assert values[-1] == values[-2] == pytest.approx(0.9)


def test_what_was_derived_from_a_face_is_overwritten_and_the_crop_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[np.ndarray] = []

    def note(name: str) -> None:
        work = getattr(cv2, name)
        monkeypatch.setattr(cv2, name, lambda *args, **options: made.append(work(*args, **options)) or made[-1])

    note("blur")
    crops = np.random.default_rng(0).integers(1, 255, (2, 64, 64, 3), np.uint8)
    lumas = face_lumas(list(crops), MARGIN)
    before = lumas.copy()
    assert sharpness(lumas) == [1.0, 1.0]
    assert (lumas == before).all()
    assert len(made) == 1
    assert not made[0].any()


def sharp(crop: Picture) -> float:
    """Sharpness of one face, cut with the shipped margin."""
    (value,) = sharpness(face_lumas([crop], MARGIN))
    return value


def test_a_face_is_as_sharp_alone_as_among_others() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    crops = [np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma), np.uint8) for sigma in (1.5, 6, 2)]
    assert sharpness(face_lumas(crops, MARGIN)) == [sharp(crop) for crop in crops]


def test_blur_halves_a_crop_at_most() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 6)
    assert sharp(noise) == 1.0
    assert 0.5 <= sharp(blurred) < 0.6


def test_stages_are_kept_within_bounds() -> None:
    times = StageTimes(keep=3)
    for value in range(5):
        times.add("detect", float(value))
    laps = times.laps()
    laps.lap("track")
    laps.lap("judge")
    assert times.samples()["detect"] == [2.0, 3.0, 4.0]
    assert len(times.samples()["track"]) == len(times.samples()["judge"]) == 1
    assert times.samples()["judge"][0] >= 0
    times.clear()
    assert times.samples() == {}


@pytest.mark.parametrize("size_px", [96, 128, 224])
def test_a_crop_for_a_larger_network_is_as_sharp(size_px: int) -> None:
    face = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), (0, 0), 1.5)
    larger = cv2.resize(face, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    assert 0.55 < sharp(face) < 0.95
    assert sharp(larger) == pytest.approx(sharp(face), abs=0.1)
