"""The engine on the demo, and a sink that remembers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_agender.config.load import load
from edge_agender.daemon.engine import Engine
from edge_agender.delivery.inbox import Inbox
from edge_agender.device.health import SourceState
from edge_agender.device.state import StateFolder
from edge_agender.messages.message import Message
from edge_agender.messages.sender import sender_of
from tests.support.message_check import check

DEMO = [
    "source.kind=demo",
    "source.demo.pace=false",
    "source.rate_hz=10",
    "source.width_px=640",
    "source.height_px=480",
]
ENGINE = ["schedule.off_file=null", "window.length_s=86400"]


class Memory:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.sources: list[SourceState] = []

    def put(self, message: Message) -> None:
        self.messages.append(message)

    def source(self, state: SourceState) -> None:
        self.sources.append(state)

    def outbox(self) -> None:
        return None

    def link(self) -> None:
        return None

    def drain(self, timeout_s: float) -> bool:
        return True

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def kind(self, kind: str) -> list[dict[str, Any]]:
        return [check(message.payload) for message in self.messages if message.kind == kind]


@contextmanager
def engine_on(
    tmp_path: Path, *options: str, until_end: bool = True, patient: bool = False
) -> Iterator[tuple[Engine, Memory, Inbox]]:
    config = load(None, [*DEMO, *ENGINE, *options])
    sink, inbox = Memory(), Inbox()
    with Engine(
        config, sink, sender_of(config), StateFolder(tmp_path), inbox, until_end=until_end, patient=patient
    ) as engine:
        yield engine, sink, inbox


def run(engine: Engine, until: Callable[[], bool] = lambda: False, limit_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while engine.step() and not until():
        assert time.monotonic() < deadline_s, "the engine did not get there"
