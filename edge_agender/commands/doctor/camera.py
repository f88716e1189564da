"""Is the camera there, does it deliver, and what? Pictures are looked at in memory, wiped, and never kept or sent."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass

import numpy as np

from edge_agender.audience.distance import counted_focal_px
from edge_agender.capture.sources import Source, open_source
from edge_agender.commands.doctor import unit
from edge_agender.commands.doctor.result import Result, from_error
from edge_agender.common.masking import shown
from edge_agender.config.settings import Config, RegionConfig, SourceConfig, WebConfig
from edge_agender.device.installation import Place, visible
from edge_agender.device.state import StateFolder
from edge_agender.device.switch import Switch
from edge_agender.errors import ConfigError, EdgeAgenderError
from edge_agender.imaging.geometry import angle_deg
from edge_agender.web import view

HEALTH_TIMEOUT_S, STARTING_S = 3.0, 20.0
# The first frames come while exposure and white balance still settle.
SETTLE_FRAMES, SETTLE_S = 5, 1.0
MEASURED_FRAMES, MEASURED_S = 30, 2.0
PATIENCE_S = 20.0
DARK_LUMA, FLAT_LUMA = 8.0, 2.0
SLOW_PART = 0.5
_REASONS = {"file": "its off file", "pin": "its switch", "command": "a remote command", "hours": "its opening hours"}


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of the frames: sizes in pixels (width, height), the last one's light and lens, and their rate."""

    full_px: tuple[int, int]
    small_px: tuple[int, int]
    luma_mean: float
    luma_sd: float
    rate_hz: float | None
    focal_px: float | None


def check_camera(config: Config, place: Place) -> list[Result]:
    """Two results, camera and picture. A camera that is switched off on purpose stays off."""
    if is_camera(config.source):
        if (busy := _running(config.web, place)) is not None:
            return [busy, Result("picture", "skipped", "the running service has the camera")]
        if (off := _switched_off(config, place)) is not None:
            return [off, Result("picture", "skipped", "the camera is switched off")]
    stop = threading.Event()
    patience = threading.Timer(PATIENCE_S, stop.set)
    patience.start()
    try:
        with open_source(config.source, stop) as source:
            seen = _look(source)
            problem = source.problem
    except EdgeAgenderError as error:
        return [from_error("camera", error), Result("picture", "skipped", "needs the camera")]
    finally:
        patience.cancel()
    if seen is None:
        return [_silent(config.source, problem), Result("picture", "skipped", "needs the camera")]
    return [_camera(config.source, seen), _picture(config, seen)]


def is_camera(source: SourceConfig) -> bool:
    """Return whether the source is a device that one program at a time can hold."""
    uri = source.opencv.uri or ""
    return source.kind == "picamera2" or (source.kind == "opencv" and (uri.isdigit() or uri.startswith("/dev/")))


def name_of(source: SourceConfig) -> str:
    if source.kind == "picamera2":
        return f"camera {source.picamera2.camera}"
    return shown(source.opencv.uri or "") if source.kind == "opencv" else source.kind


def _running(web: WebConfig, place: Place) -> Result | None:
    """What the running service says of the camera that it holds; None where no service runs."""
    told = _patient_health(web) if web.enabled else None
    active = unit.is_active(place)
    # Whoever tries it by hand has it too; what frames it counts may be a demo's.
    holder = "the running service" if active else f"the edge-agender on port {web.port}, which is not the service,"
    if told is not None and told not in view.FINE:
        remedy = (
            "See to the camera's cable, then run `sudo systemctl restart edge-agender`; the status page tells more."
        )
        return Result("camera", "failure", f"{holder} has it and says: {_STATES.get(told, told)}", remedy)
    if told is not None:
        return Result("camera", "ok", f"{holder} has it, and frames arrive")
    if not active:
        return None
    remedy = "Stop the service for a closer look: `sudo systemctl stop edge-agender`, and start it again afterwards."
    return Result("camera", "skipped", "the running service has it, and its status page does not answer", remedy)


_STATES = {
    "starting": "still starting",
    "no_frame": "no frame yet",
    "stalled": "no frames arrive any more",
    "camera": "there is trouble with the camera; its log says which",
}


def _patient_health(web: WebConfig) -> str | None:
    """Ask again while the service has only just begun: a Pi needs seconds for its camera and networks."""
    until_s = time.monotonic() + STARTING_S
    while (told := _ask_health(web)) is not None:
        if told not in ("starting", "no_frame") or time.monotonic() > until_s:
            break
        time.sleep(0.5)
    return told


def _ask_health(web: WebConfig) -> str | None:
    """Return the state that the running service says, None where none answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.host, web.host)
    connection = http.client.HTTPConnection(host, web.port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        told = json.loads(connection.getresponse().read(4096))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    # Any program may listen on that port.
    ours = isinstance(told, dict) and told.keys() == {"status", "state"}
    return told["state"] if ours and isinstance(told["state"], str) else None


def _switched_off(config: Config, place: Place) -> Result | None:
    folder = place.state_folder(config)
    if not visible(folder):
        finding = "whether it is switched off can be read by root only"
        return Result("camera", "skipped", finding, "Run the doctor again with sudo.")
    try:
        switch = Switch(config.schedule, StateFolder(folder))
    except ConfigError as error:
        return from_error("camera", error)
    state = switch.state()
    switch.close()
    if state.measuring:
        return None
    remedy = "Switch it on and run the doctor again."
    return Result("camera", "skipped", f"switched off by {_REASONS.get(state.reason, state.reason)}", remedy)


def _look(source: Source) -> Look | None:
    """Read until the light has settled, then for a moment more; None where no frame came."""
    seen, began_s, counted_s, count = None, time.monotonic(), 0.0, 0
    for number in range(SETTLE_FRAMES + MEASURED_FRAMES):
        frame = source.read()
        if frame is None:
            break
        try:
            width, height = frame.size_px
            small_height, small_width = frame.small.shape[:2]
            light = float(np.mean(frame.small)), float(np.std(frame.small))
            focal = frame.focal_px
        finally:
            frame.release()
        now_s = time.monotonic()
        if number < SETTLE_FRAMES and now_s - began_s < SETTLE_S:
            counted_s = now_s
        else:
            counted_s, count = counted_s or now_s, count + 1
        rate_hz = count / (now_s - counted_s) if source.live and count >= 3 and now_s > counted_s else None
        seen = Look((width, height), (small_width, small_height), *light, rate_hz, focal)
        if count and now_s - counted_s > MEASURED_S:
            break
    return seen


def _silent(source: SourceConfig, problem: str | None) -> Result:
    finding = problem or f"{name_of(source)}: no frame within {PATIENCE_S:g} s"
    return Result("camera", "failure", finding, "Check its cable, its power and, for a stream, its address in source.")


def _camera(source: SourceConfig, seen: Look) -> Result:
    if seen.rate_hz is None:
        return Result("camera", "ok", f"{name_of(source)} delivers")
    finding = f"{name_of(source)} delivers {seen.rate_hz:.1f} frames a second"
    if source.kind != "demo" and seen.rate_hz < source.rate_hz * SLOW_PART:
        remedy = (
            "Give the place more light, or lower source.rate_hz: in the dark a camera exposes each frame for longer."
        )
        return Result("camera", "warning", f"{finding} instead of {source.rate_hz:g}", remedy)
    return Result("camera", "ok", finding)


def _picture(config: Config, seen: Look) -> Result:
    source = config.source
    full, small = (f"{width}x{height}" for width, height in (seen.full_px, seen.small_px))
    finding = f"full {full} in colour, small {small} in grey"
    if source.kind == "demo":
        return Result("picture", "ok", finding)
    counted = counted_focal_px(config.audience.distance, seen.full_px[0], seen.focal_px)
    finding += f"; distances count with {angle_deg(seen.full_px[0], counted):.0f} degrees across"
    if seen.luma_sd < FLAT_LUMA or seen.luma_mean < DARK_LUMA:
        how = "black" if seen.luma_mean < DARK_LUMA else "without any contrast"
        return Result("picture", "warning", f"{finding}: it is {how}", "Uncover the lens, and put the light on.")
    wanted = sorted((source.width_px, source.height_px))
    if is_camera(source) and source.region == RegionConfig() and sorted(seen.full_px) != wanted:
        remedy = "Set source.width_px and height_px to a size that the camera has (`v4l2-ctl --list-formats-ext`)."
        return Result("picture", "warning", f"{finding}, instead of {source.width_px}x{source.height_px}", remedy)
    return Result("picture", "ok", finding)
