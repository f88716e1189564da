from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_agender.audience.visits import Gaze
from edge_agender.config.audience import AudienceConfig
from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import crop_face
from edge_agender.vision import frontalness as looking
from edge_agender.vision.faces import Face
from edge_agender.vision.frontalness import MARGIN, face_lumas, frontalness
from tests.support.paths import SHARED

VIDEO = SHARED / "videos" / "head-pose-face-detection-female.gif"

# By hand and eye, frame by frame: left, top, right, bottom of the face, and whether she looks at the camera; None
# where two people would not agree (about 25 degrees aside).
LABELS: list[tuple[tuple[int, int, int, int], bool | None]] = [
    ((176, 59, 234, 151), False),
    ((173, 61, 229, 151), False),
    ((171, 62, 227, 152), False),
    ((170, 63, 227, 152), False),
    ((172, 62, 227, 151), False),
    ((175, 60, 230, 151), False),
    ((182, 56, 240, 150), False),
    ((188, 59, 246, 150), None),
    ((192, 58, 254, 149), True),
    ((198, 58, 263, 150), True),
    ((205, 60, 267, 151), True),
    ((213, 62, 271, 153), False),
    ((216, 62, 274, 154), False),
    ((219, 62, 275, 153), False),
    ((219, 61, 275, 153), False),
    ((217, 61, 275, 154), False),
    ((214, 60, 275, 155), False),
    ((211, 61, 273, 151), None),
    ((206, 60, 268, 149), True),
    ((200, 58, 264, 149), True),
    ((196, 57, 259, 147), True),
    ((191, 57, 251, 147), None),
    ((190, 59, 248, 147), False),
]


@pytest.fixture(scope="module")
def head_turn() -> list[Picture]:
    if not VIDEO.exists():
        pytest.skip("the head-turning video is not beside this checkout (../shared)")
    capture = cv2.VideoCapture(str(VIDEO))
    frames = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    capture.release()
    assert len(frames) == len(LABELS)
    return frames


def measured(
    frames: list[Picture], shift: float = 0.0, grow: float = 0.0, size: int = 64, margin: float = MARGIN
) -> list[float]:
    """Frontalness of every frame, its box shifted and grown by parts of its height."""
    crops = []
    for frame, (corners, _) in zip(frames, LABELS, strict=True):
        box = Box(*map(float, corners))
        by, wider = shift * box.height, grow * box.height / 2
        box = Box(box.x1 + by - wider, box.y1 - wider, box.x2 + by + wider, box.y2 + wider)
        crops.append(crop_face(frame, box, size, margin))
    return frontalness(face_lumas(crops, margin))


@pytest.mark.parametrize(
    ("size", "margin"), [(64, MARGIN), (64, 0.0), (64, 0.1), (64, 0.25), (64, 0.4), (96, 0.3), (224, 0.0), (224, 0.5)]
)
def test_every_labelled_frame_is_judged_right(head_turn: list[Picture], size: int, margin: float) -> None:
    limits = AudienceConfig().looking
    for value, (_, looks) in zip(measured(head_turn, size=size, margin=margin), LABELS, strict=True):
        assert looks is None or (value >= limits.starts_at) == looks
        assert looks is not False or value <= limits.ends_at


@pytest.mark.parametrize(("shift", "grow"), [(0.04, 0.0), (-0.04, 0.0), (0.0, 0.08), (0.0, -0.08), (0.03, 0.05)])
def test_most_are_right_with_a_detectors_jitter(head_turn: list[Picture], shift: float, grow: float) -> None:
    limit = AudienceConfig().looking.starts_at
    judged = [
        (value >= limit) == looks
        for value, (_, looks) in zip(measured(head_turn, shift, grow), LABELS, strict=True)
        if looks is not None
    ]
    assert sum(judged) >= len(judged) - 1


def test_a_head_that_turns_to_and_fro_glances_twice(head_turn: list[Picture]) -> None:
    gaze = Gaze(AudienceConfig().looking)
    faces = [Face(1, Box(0, 0, 1, 1), 1.0, None, 0.0, 1, 0.0, frontal=value) for value in measured(head_turn)]
    looked_s = sum(gaze.note(face, 1 / 12) for face in faces)
    assert gaze.glances == 2
    # Frames 8 to 10 and 18 to 20, and up to one more on either side for smoothing and the doubtful ones.
    assert 5 / 12 <= looked_s <= 10 / 12


def pattern(seed: int = 1) -> Picture:
    random = np.random.default_rng(seed)
    half = cv2.resize(random.integers(40, 200, (16, 8), np.uint8), (32, 64), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.hstack([half, half[:, ::-1]]), np.uint8)


def frontal(luma: Picture) -> float:
    """Frontalness of one face, cut with the shipped margin."""
    (value,) = frontalness(face_lumas([np.asarray(cv2.merge([luma] * 3), np.uint8)], MARGIN))
    return value


def test_faces_are_measured_alike_alone_and_among_others(head_turn: list[Picture]) -> None:
    boxes = [Box(*map(float, corners)) for corners, _ in LABELS]
    crops = [crop_face(frame, box, 64, MARGIN) for frame, box in zip(head_turn, boxes, strict=True)]
    alone = [frontalness(face_lumas([crop], MARGIN))[0] for crop in crops]
    assert frontalness(face_lumas(crops, MARGIN)) == pytest.approx(alone, abs=1e-5)


def test_a_mirror_image_is_frontal_wherever_its_axis_is_within_the_jitter() -> None:
    symmetric = pattern()
    assert frontal(symmetric) > 0.95
    for shift in (-3, 3):
        assert frontal(np.roll(symmetric, shift, axis=1)) > 0.9
    assert frontal(np.roll(symmetric, 12, axis=1)) < 0.5


def test_light_from_one_side_makes_no_difference() -> None:
    shade = np.linspace(0.4, 1.2, 64)[None]
    shaded = np.asarray(np.clip(pattern() * shade, 0, 255), np.uint8)
    assert frontal(shaded) == pytest.approx(frontal(pattern()), abs=0.15)


def test_unlike_halves_are_not() -> None:
    left, right = pattern(1), pattern(2)
    assert frontal(np.hstack([left[:, :32], right[:, 32:]])) < 0.4


@pytest.mark.parametrize("luma", [0, 128, 255])
def test_a_blank_crop_looks_nowhere(luma: int) -> None:
    assert frontal(np.full((64, 64), luma, np.uint8)) == 0.0


@pytest.mark.parametrize("size", [32, 96, 224])
def test_crops_of_other_networks_are_measured_alike(size: int) -> None:
    resized = np.asarray(cv2.resize(pattern(), (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    assert frontal(resized) > 0.85


@pytest.mark.parametrize(("size", "margin"), [(64, MARGIN), (64, 0.0), (96, 0.1), (224, 0.4)])
def test_what_was_derived_from_a_face_is_overwritten_and_the_crop_is_not(
    size: int, margin: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Array] = []

    def note(module: object, name: str) -> None:
        work = getattr(module, name)

        def call(*args: object, **options: object) -> object:
            result = work(*args, **options)
            given = (*args, *options.values(), result)
            made.extend(each for each in given if isinstance(each, np.ndarray))
            return result

        monkeypatch.setattr(module, name, call)

    for name in ("cvtColor", "copyMakeBorder", "resize", "blur", "sqrBoxFilter"):
        note(cv2, name)
    note(looking, "_even_light")
    crop = np.random.default_rng(5).integers(1, 256, (size, size, 3), np.uint8)
    before = crop.copy()
    lumas = face_lumas([crop], margin)
    kept = lumas.copy()
    (value,) = frontalness(lumas)
    assert value > 0
    assert (crop == before).all()
    assert (lumas == kept).all()
    between = [each for each in made if not any(np.may_share_memory(each, other) for other in (crop, lumas))]
    assert len(between) >= 5
    assert not any(each.any() for each in between)
