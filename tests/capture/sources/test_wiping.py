"""What a frame showed is overwritten when the frame is done."""

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender.capture.sources import open_source
from edge_agender.capture.sources.base import Framer
from edge_agender.config.settings import DemoConfig, ImagesConfig, OpencvConfig, SourceConfig


def configured(kind: str, folder: Path) -> SourceConfig:
    if kind == "demo":
        return SourceConfig(kind="demo", demo=DemoConfig(pace=False))
    picture = np.random.default_rng(3).integers(0, 256, (480, 640, 3), np.uint8)
    if kind == "images":
        cv2.imwrite(str(folder / "picture.png"), picture)
        return SourceConfig(kind="images", images=ImagesConfig(paths=(folder,)))
    writer = cv2.VideoWriter(str(folder / "video.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    for _ in range(3):
        writer.write(picture)
    writer.release()
    return SourceConfig(kind="opencv", opencv=OpencvConfig(uri=str(folder / "video.avi"), pace=False))


@pytest.mark.parametrize("kind", ["demo", "images", "opencv"])
def test_a_released_frame_holds_nothing(kind: str, tmp_path: Path) -> None:
    with open_source(configured(kind, tmp_path), threading.Event()) as source:
        frame = source.read()
        assert frame is not None
        shown = [picture for picture in (frame.full, frame.small, frame.small_bgr) if picture is not None]
        assert all(picture.any() for picture in shown)
        frame.release()
        assert not any(picture.any() for picture in shown)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("rotate_deg", [0, 90])
def test_no_step_on_the_way_to_a_frame_keeps_what_it_showed(
    channels: int, rotate_deg: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[np.ndarray] = []

    def noted(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def call(*words: object, **more: object) -> np.ndarray:
            made.append(function(*words, **more))
            return made[-1]

        return call

    for name in ("resize", "cvtColor", "rotate", "flip"):
        monkeypatch.setattr(cv2, name, noted(getattr(cv2, name)))
    raw = np.random.default_rng(3).integers(1, 256, (1001, 1502, channels), np.uint8)
    frame = Framer(SourceConfig(kind="demo", rotate_deg=rotate_deg)).frame(raw, 0.0)
    assert len(made) >= 3
    assert frame.full.any()
    assert frame.small.any()
    frame.release()
    assert not any(picture.any() for picture in (raw, *made))
