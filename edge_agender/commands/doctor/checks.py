"""`edge-agender doctor`: what is wrong with this installation, and what to do about it.

Nothing raises: an expected error is a failure with its remedy, a bug of ours a failure that says where. Every group of
checks has a time limit, so that a camera or a name server that hangs costs its own lines only.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_agender.commands.doctor.broker import check_broker
from edge_agender.commands.doctor.camera import check_camera
from edge_agender.commands.doctor.clock import check_clock
from edge_agender.commands.doctor.disk import check_disk
from edge_agender.commands.doctor.machine import check_machine
from edge_agender.commands.doctor.models import check_models
from edge_agender.commands.doctor.result import Result, from_error, unexpected
from edge_agender.commands.doctor.unit import check_unit
from edge_agender.config.load import load
from edge_agender.config.settings import Config
from edge_agender.device.installation import Place
from edge_agender.errors import EdgeAgenderError

__all__ = ["LIMIT_S", "Result", "each", "failed", "limited", "run"]

LIMIT_S = 60.0
_REMEDY = "Restart the device. If it hangs again, unplug or disable this component: it does not respond."


def run(config_path: Path | None, overrides: Sequence[str] = (), place: Place | None = None) -> list[Result]:
    """Return every result, in the order in which to fix them. `config_path` None: built-in defaults."""
    return list(each(config_path, overrides, place))


def each(config_path: Path | None, overrides: Sequence[str] = (), place: Place | None = None) -> Iterator[Result]:
    """Yield the results of `run` as they come; the whole takes seconds."""
    place = place or Place()
    yield from limited("board", lambda: check_machine(place))
    yield from limited("clock", lambda: [check_clock(place)])
    config = None
    try:
        config = load(config_path, overrides)
        yield Result("configuration", "ok", str(config_path or "built-in defaults"))
    except EdgeAgenderError as error:
        remedy = "Correct these lines; config.yaml in the documentation has every option."
        if config_path is not None and not os.access(config_path, os.R_OK):
            remedy = "Give an existing file with --config, or run the doctor with sudo where only root may read it."
        yield Result("configuration", "failure", "; ".join(str(error).splitlines()), remedy)
    if config is not None:
        yield from _configured(config, place)
    yield from limited("service", lambda: check_unit(place))


def failed(results: Sequence[Result]) -> bool:
    """Return whether any of them is a failure; warnings are none."""
    return any(result.state == "failure" for result in results)


def limited(name: str, check: Callable[[], list[Result]], limit_s: float = LIMIT_S) -> list[Result]:
    """Return the check's results; one failure under `name` where it raises, or has no answer in time."""
    answer: queue.SimpleQueue[list[Result]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put(check())
        except EdgeAgenderError as error:
            answer.put([from_error(name, error)])
        except Exception as error:
            answer.put([unexpected(name, error)])

    threading.Thread(target=work, name=f"doctor-{name}", daemon=True).start()
    try:
        return answer.get(timeout=limit_s)
    except queue.Empty:
        return [Result(name, "failure", f"no answer within {limit_s:g} s", _REMEDY)]


def _configured(config: Config, place: Place) -> Iterator[Result]:
    yield from limited("disk", lambda: check_disk(config, place))
    yield from limited("models", lambda: check_models(config, place))
    yield from limited("camera", lambda: check_camera(config, place))
    yield from limited("broker", lambda: check_broker(config, place))
