"""Without picamera2; with it, see tests/virtual_camera."""

import builtins
import threading
from typing import Any

import pytest

from edge_agender.errors import CameraError
from edge_agender.settings import Picamera2Config, SourceConfig
from edge_agender.sources import open_source
from edge_agender.sources.picamera import _controls, sensor_time_s


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


def test_a_time_stamp_that_makes_no_sense_is_now() -> None:
    assert sensor_time_s(None, 50.0) == 50.0
    assert sensor_time_s(49_500_000_000, 50.0) == 49.5
    assert sensor_time_s(1_000, 5000.0) == 5000.0
