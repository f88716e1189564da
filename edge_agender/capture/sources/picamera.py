"""A Raspberry Pi's camera through picamera2: two streams of one sensor, scaled by its ISP.

`lores` is YUV 4:2:0, of which the luma plane is passed on as it lies in the camera's buffer, and in colour as a copy;
`main` is B, G, R, from which faces are cut. A frame holds its request, so few are out at a time: the camera stalls when
none is left to fill.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from edge_agender.capture.sources.base import BaseSource
from edge_agender.capture.sources.lenses import lens_hfov_deg
from edge_agender.capture.sources.view import View
from edge_agender.config.settings import Picamera2Config, SourceConfig
from edge_agender.errors import CameraError, StalledError
from edge_agender.imaging.frame import Frame, Picture
from edge_agender.imaging.geometry import Box, focal_px

log = logging.getLogger(__name__)

# How often a wait looks at `stop`.
_SLICE_S = 0.2
# Starting the sensor again in place heals a hiccup; reopening leaks contiguous memory, so after that the process ends.
_MOST_RESTARTS = 2
_AUTOFOCUS = {"manual": 0, "continuous": 2}
# A time stamp of CLOCK_BOOTTIME runs ahead of time.monotonic() by what the machine has slept.
_CLOCK_SLACK_S = 0.005
_SAME_ASPECT = 0.01


class PicameraSource(BaseSource):
    """The configured camera, delivering. Raises CameraError where it is missing, busy or not what was asked for."""

    live = True

    def __init__(self, config: SourceConfig, stop: threading.Event) -> None:
        super().__init__()
        self._config, self._stop = config, stop
        self._camera = _open(config.picamera2.camera)
        self._job: Any = None
        self._sequence = self._restarts_in_a_row = 0
        try:
            self._view = self._configure(config)
            self._camera.start()
        except (RuntimeError, ValueError, OSError) as error:
            self._camera.close()
            reason = " ".join(str(error).split())
            raise CameraError(f"camera {config.picamera2.camera}: {reason}: choose other sizes in source:") from None

    def __enter__(self) -> PicameraSource:
        return self

    def read(self) -> Frame | None:
        """Return the next frame; its arrays are the camera's own until it is released."""
        while not self._stop.is_set():
            request = self._next_request()
            if request is not None:
                self._restarts_in_a_row = 0
                self.made_progress()
                self.healed(log, "camera: frames arrive again")
                return self._frame(request)
            if not self._stop.is_set():
                self._restart()
        return None

    def reopen(self) -> None:
        """Start the sensor again in place: reopening leaks contiguous memory."""
        self.restarts += 1
        self._start_again()

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is None:
            return
        if self._job is not None:
            camera.cancel_all_and_flush()
        camera.stop()
        camera.close()

    def _configure(self, config: SourceConfig) -> View:
        """Set both streams and all controls up; return what is left to do in software."""
        from libcamera import Transform

        half_turn = config.rotate_deg == 180
        configuration = self._camera.create_video_configuration(
            main={"size": (config.width_px, config.height_px), "format": "RGB888"},  # B, G, R in memory
            lores={"size": (config.small_width_px, config.small_height_px), "format": "YUV420"},
            raw=None,  # a Pi would add a full-size stream
            buffer_count=config.picamera2.buffers,
            transform=Transform(hflip=config.flip_horizontal != half_turn, vflip=config.flip_vertical != half_turn),
            controls={"FrameRate": config.rate_hz},
        )
        self._camera.configure(configuration)
        self._set_controls(_controls(config.picamera2))
        self._lores_px = tuple(self._camera.camera_configuration()["lores"]["size"])
        turn = 0 if half_turn else config.rotate_deg
        view = View(config.region, turn)
        return View(rotate_deg=turn) if self._crop_on_sensor(view.raw_region) else view

    def _set_controls(self, wanted: dict[str, Any]) -> None:
        for name in sorted(wanted.keys() - self._camera.camera_controls.keys()):
            log.warning("this camera has no control %s: the option is ignored", name)
            del wanted[name]
        if wanted:
            self._camera.set_controls(wanted)

    def _crop_on_sensor(self, parts: Box) -> bool:
        """Let the ISP cut the region out, where it can and the region keeps the picture's aspect ratio."""
        if parts == Box(0, 0, 1, 1):
            return True
        limits = self._camera.camera_controls.get("ScalerCrop")
        if limits is None or abs(parts.width - parts.height) > 1e-3:
            return False
        x, y, width, height = limits[2]  # (least, most, default): the default shows what the picture shows
        if abs(width / height - self._config.width_px / self._config.height_px) > _SAME_ASPECT:
            return False
        area = (x + parts.x1 * width, y + parts.y1 * height, parts.width * width, parts.height * height)
        self._camera.set_controls({"ScalerCrop": tuple(round(value) for value in area)})
        return True

    def _next_request(self) -> Any:
        """Return a completed request, None when none came in time or when told to stop."""
        deadline_s = time.monotonic() + self._config.picamera2.timeout_s
        # A job that timed out stays queued and takes a later frame: keep it, or that frame is never given back.
        if self._job is None:
            self._job = self._camera.capture_request(wait=False)
        while not self._stop.is_set() and time.monotonic() < deadline_s:
            try:
                request = self._camera.wait(self._job, timeout=_SLICE_S)
            except TimeoutError:
                continue
            self._job = None
            return request
        return None

    def _restart(self) -> None:
        timeout_s = self._config.picamera2.timeout_s
        if self._restarts_in_a_row >= _MOST_RESTARTS:
            raise StalledError(f"camera: no frame for {timeout_s:g} s after {_MOST_RESTARTS} restarts: check its cable")
        self._restarts_in_a_row += 1
        self.restarts += 1
        self.failed(log, f"camera: no frame for {timeout_s:g} s: starting the sensor again")
        self._start_again()

    def _start_again(self) -> None:
        self._camera.cancel_all_and_flush()
        self._job = None
        self._camera.stop()
        self._camera.start()
        self.made_progress()

    def _frame(self, request: Any) -> Frame:
        from picamera2 import MappedArray

        taken_s = time.monotonic()
        metadata = request.get_metadata()
        captured_s = sensor_time_s(metadata.get("SensorTimestamp"), taken_s)
        maps = [MappedArray(request, name) for name in ("main", "lores")]
        raw, yuv = (each.__enter__().array for each in maps)
        width, height = self._lores_px
        luma, bgr = np.asarray(yuv[:height, :width], np.uint8), lores_bgr(yuv, width)
        frame = Frame(
            self._sequence,
            captured_s,
            time.time() - (taken_s - captured_s),
            self._view.apply(luma),
            self._view.apply(raw),
            _releaser(request, maps, [raw, yuv, bgr]),
            picture_focal_px(self._camera.camera_properties, metadata.get("ScalerCrop"), raw.shape[1]),
            self._view.apply(bgr),
        )
        self._sequence += 1
        return frame


def lores_bgr(yuv: Picture, width: int) -> Picture:
    """Return a YUV 4:2:0 picture (h * 3 // 2, stride) as B, G, R (h, width, 3): BT.601, the range of video.

    With padding: a row of stride bytes holds two rows of half a stride of a colour plane, so the stride is the width
    that OpenCV is to work with.
    """
    return np.asarray(cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR_I420)[:, :width], np.uint8)


def sensor_time_s(timestamp_ns: int | None, now_s: float) -> float:
    """Return a sensor's time stamp as time.monotonic() seconds; `now_s` where it has none or makes no sense."""
    if timestamp_ns is None:
        return now_s
    at_s = timestamp_ns / 1e9
    if at_s > now_s + _CLOCK_SLACK_S:
        at_s -= time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return at_s if 0 <= now_s - at_s < 60 else now_s


def picture_focal_px(properties: Mapping[str, Any], crop: Sequence[int] | None, width_px: int) -> float:
    """Return the lens's focal length in pixels of a picture that shows `crop` (x, y, width, height) of the sensor."""
    hfov_deg = lens_hfov_deg(properties.get("Model", ""))
    sensor_px = properties.get("PixelArraySize")
    if crop is None or sensor_px is None or crop[2] <= 0:
        return focal_px(width_px, hfov_deg)
    return focal_px(sensor_px[0], hfov_deg) * width_px / crop[2]


def _releaser(request: Any, maps: list[Any], pictures: list[Picture]) -> Callable[[], None]:
    """Return what wipes the buffers and gives them back to the camera."""

    def release() -> None:
        while pictures:
            pictures.pop().fill(0)
        while maps:
            maps.pop().__exit__(None, None, None)
        request.release()

    return release


def _controls(config: Picamera2Config) -> dict[str, Any]:
    """Return the controls that the options ask for."""
    wanted: dict[str, Any] = {}
    if config.autofocus in _AUTOFOCUS and (config.autofocus == "manual" or config.lens_position_dioptres is None):
        wanted["AfMode"] = _AUTOFOCUS[config.autofocus]
    if config.lens_position_dioptres is not None:
        wanted |= {"AfMode": _AUTOFOCUS["manual"], "LensPosition": config.lens_position_dioptres}
    if config.exposure_us is not None:
        wanted["ExposureTime"] = config.exposure_us
    if config.gain is not None:
        wanted["AnalogueGain"] = config.gain
    return wanted


def _open(number: int) -> Any:
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise CameraError(
            f"picamera2 cannot be imported ({reason}): run `sudo apt install python3-picamera2`, and create the "
            "environment with --system-site-packages"
        ) from None
    known = Picamera2.global_camera_info()
    if number >= len(known):
        names = ", ".join(f"{i}: {info.get('Model', 'unknown')}" for i, info in enumerate(known)) or "none"
        raise CameraError(
            f"there is no camera {number} (found {names}): switch off, push the flat cable home at both ends, "
            "its contacts the right way round, and look again with `rpicam-hello --list-cameras`"
        )
    try:
        return Picamera2(number)
    except RuntimeError as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise CameraError(
            f"camera {number} cannot be opened ({cause}): stop another program that holds it, such as rpicam-hello, "
            "or the service (`sudo systemctl stop edge-agender`)"
        ) from None
