"""Without picamera2; with it, see tests/virtual_camera."""

import builtins
import threading
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agender.capture.sources import open_source
from edge_agender.capture.sources.picamera import _controls, lores_bgr, picture_focal_px, sensor_time_s
from edge_agender.config.settings import Picamera2Config, SourceConfig
from edge_agender.errors import CameraError
from edge_agender.imaging.geometry import angle_deg


def test_what_is_missing_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("picamera2"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CameraError, match="sudo apt install python3-picamera2") as caught:
        open_source(SourceConfig(), threading.Event())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "controls"),
    [
        ({}, {"AfMode": 2}),
        ({"autofocus": "off"}, {}),
        ({"autofocus": "manual", "lens_position_dioptres": 0.5}, {"AfMode": 0, "LensPosition": 0.5}),
        ({"autofocus": "off", "exposure_us": 5000, "gain": 2.0}, {"ExposureTime": 5000, "AnalogueGain": 2.0}),
    ],
)
def test_options_become_controls(options: dict[str, Any], controls: dict[str, Any]) -> None:
    assert _controls(Picamera2Config.model_validate(options)) == controls


@pytest.mark.parametrize(("width", "stride"), [(320, 320), (320, 384), (312, 320)])
def test_the_small_streams_colours_are_read_whatever_its_stride(width: int, stride: int) -> None:
    ramp = np.linspace(40, 200, stride, dtype=np.uint8)
    rows = np.linspace(30, 220, 240, dtype=np.uint8)[:, None]
    shown = np.dstack(np.broadcast_arrays(ramp[None], rows, np.uint8(90)))
    yuv = np.asarray(cv2.cvtColor(shown, cv2.COLOR_BGR2YUV_I420), np.uint8)
    read = lores_bgr(yuv, width)
    assert read.shape == (240, width, 3)
    assert np.abs(read.astype(int) - shown[:, :width]).max() <= 6
    assert np.abs(read[..., 0].astype(int) - read[..., 2]).max() > 80


def test_a_time_stamp_that_makes_no_sense_is_now() -> None:
    assert sensor_time_s(None, 50.0) == 50.0
    assert sensor_time_s(49_500_000_000, 50.0) == 49.5
    assert sensor_time_s(1_000, 5000.0) == 5000.0


MODULE_3 = {"Model": "imx708", "PixelArraySize": (4608, 2592)}


@pytest.mark.parametrize(
    ("properties", "crop", "degrees"),
    [
        (MODULE_3, (0, 0, 4608, 2592), 66.0),
        (MODULE_3, (576, 0, 3456, 2592), 51.9),  # 4:3
        (MODULE_3, (1440, 648, 1728, 1296), 27.4),  # half of that, as a region is cut
        (MODULE_3 | {"Model": "imx708_wide_noir"}, (576, 0, 3456, 2592), 85.6),
        ({"Model": "imx219", "PixelArraySize": (3280, 2464)}, (0, 0, 3280, 2460), 62.2),
        # The HQ camera has any lens: a typical one, over what is shown of the sensor.
        ({"Model": "imx477", "PixelArraySize": (4056, 3040)}, (0, 0, 4056, 3040), 62.0),
        ({"Model": "imx477", "PixelArraySize": (4056, 3040)}, (1014, 760, 2028, 1520), 33.4),
        # What a camera does not say of itself.
        (MODULE_3, None, 66.0),
        ({"Model": "imx708"}, (0, 0, 100, 100), 66.0),
        (MODULE_3, (0, 0, 0, 0), 66.0),
        ({}, None, 62.0),
    ],
)
def test_the_picture_shows_a_part_of_what_the_lens_does(
    properties: dict[str, Any], crop: tuple[int, int, int, int] | None, degrees: float
) -> None:
    assert angle_deg(1280, picture_focal_px(properties, crop, 1280)) == pytest.approx(degrees, abs=0.1)
