"""The configuration under which a recording is played: this machine's, with the recording as its only source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_agender.config.load import apply_overrides, read_file, source_overrides, validate
from edge_agender.config.settings import Config

# The demo has no end of its own.
DEMO_S = 20


def recording_config(path: Path | None, overrides: Sequence[str], what: str, *, paced: bool) -> Config:
    """Return the configuration of a file (defaults where None) and --set options, with `what` as its source.

    No camera of the file's stays in it. `paced`: played at its own speed, else as fast as it goes, and a demo for
    DEMO_S then. Raises ConfigError.
    """
    data = {key: value for key, value in (read_file(path) if path else {}).items() if key != "source"}
    pace = "true" if paced else "false"
    options = [*overrides, *source_overrides(what), f"source.opencv.pace={pace}", f"source.demo.pace={pace}"]
    if not paced and not any(each.startswith("source.demo.duration_s") for each in overrides):
        options.append(f"source.demo.duration_s={DEMO_S}")
    return validate(apply_overrides(data, options), str(path) if path else "configuration")
