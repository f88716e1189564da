"""What a valid configuration still lacks on this machine: recordings, cameras, files of passwords, ports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_agender.config.remote import settable
from edge_agender.config.settings import Config, SourceConfig
from edge_agender.device.installation import visible
from edge_agender.errors import EdgeAgenderError
from edge_agender.vision.affordable import landmarks_missing

# Below, only root and who is allowed to (CAP_NET_BIND_SERVICE) may listen; the unit is not.
FIRST_FREE_PORT = 1024
# Somebody is followed from frame to frame where one detection may be missed.
LEAST_LOOKS = 2.0


def source_problem(source: SourceConfig) -> str | None:
    """Return why a recording or pictures cannot be read; None where they can, and for cameras and streams."""
    if source.kind == "images":
        from edge_agender.capture.sources.images import pictures_in

        return _reason(lambda: pictures_in(source.images.paths))
    uri = source.opencv.uri or ""
    if source.kind != "opencv" or uri.isdigit() or uri.startswith("/dev/") or "://" in uri:
        return None
    return _reason(lambda: _open(source))


def warnings_of(config: Config) -> Iterator[str]:
    """Yield what may be right on the device itself and is not here: a line each."""
    uri = config.source.opencv.uri or ""
    node = Path(f"/dev/video{uri}" if uri.isdigit() else uri)
    if config.source.kind == "opencv" and str(node).startswith("/dev/") and not node.exists():
        yield f"source.opencv.uri: {node}: no such camera here: plug it in"
    if config.source.rate_hz < LEAST_LOOKS / config.tracking.max_gap_s:
        yield (
            f"source.rate_hz: at {config.source.rate_hz:g} frames a second nobody is followed from one to the next "
            f"(tracking.max_gap_s {config.tracking.max_gap_s:g}), and below 0.5 no time is covered: take 5 or more"
        )
    if config.web.enabled and 0 < config.web.port < FIRST_FREE_PORT:
        yield f"web.port: {config.web.port} is below {FIRST_FREE_PORT}: the service may not listen there: take 8080"
    if (hint := landmarks_missing(config)) is not None:
        yield f"estimator.model: {hint}"
    named = {"mqtt.password_file": config.mqtt.password_file, "web.password_file": config.web.password_file}
    for option, path in named.items():
        if path is not None and visible(path.parent) and not path.is_file():
            yield f"{option}: {path}: no such file"


def remote_note(config: Config) -> str:
    """Return what the fleet may do to a device of this configuration."""
    locked = f", save {', '.join(config.fleet.locked)}" if config.fleet.locked else ""
    return (
        f"remote configuration is on: the fleet may set {len(settable(config.fleet.locked))} options{locked}; none of "
        "them beyond what this file lets out of people (fleet.remote_config, fleet.locked; docs/fleet.md lists them)"
    )


def _open(source: SourceConfig) -> None:
    from edge_agender.capture.sources import open_source

    open_source(source, threading.Event()).close()


def _reason(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except EdgeAgenderError as error:
        return str(error)
    return None
