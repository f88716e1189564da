"""Builds, runs and stops the daemon. The only place where edges are opened, on one stack, in this order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import cv2

from edge_agender.config.settings import Config
from edge_agender.daemon.changes import Changes, opened
from edge_agender.daemon.engine import Engine
from edge_agender.daemon.remote import Remote
from edge_agender.daemon.status import StatusFeed
from edge_agender.delivery.inbox import Inbox
from edge_agender.delivery.sinks import open_sink
from edge_agender.device.hardening import harden_process
from edge_agender.device.memory import Area, evict_library_pages, library_areas, limit_malloc_arenas, trim_heap
from edge_agender.device.paths import has_home, state_folder
from edge_agender.device.state import StateFolder
from edge_agender.device.systemd import Notifier, credential
from edge_agender.errors import StateError
from edge_agender.inference import tflite
from edge_agender.messages.sender import sender_of
from edge_agender.web import serve
from edge_agender.web.snapshot import LiveState


class Service:
    """The daemon. `run` returns when told to stop, and raises what it cannot heal."""

    def __init__(self, config: Config, reload: Callable[[], Config], *, sink: str, until_end: bool) -> None:
        self._local = config
        self._reload = reload
        self._sink_kind = sink
        self._until_end = until_end
        # Set by signals. No Events: a handler that interrupts another one would wait for its lock for ever.
        self._stop = self._reload_wanted = False
        self._libraries: list[Area] = []

    def run(self) -> str | None:
        """Open everything, work until stopped, close everything in reverse order.

        Returns what was seen, where the source has come to its end.
        """
        limit_malloc_arenas()
        harden_process()
        _limit_threads(self._local)
        # Now, while there is one thread and nothing is being loaded; with the largest library, which comes late.
        tflite.preload()
        self._libraries = library_areas()
        with ExitStack() as stack:
            self._catch_signals(stack)
            notifier = stack.enter_context(Notifier.from_environment())
            sender = sender_of(self._local)
            folder = StateFolder(self._state_folder())
            stack.enter_context(folder.locked())
            # First, so that the broker is being reached while the camera starts and the models load.
            inbox = Inbox()
            sink = stack.enter_context(open_sink(self._sink_kind, self._local, sender, inbox))
            patient = self._sink_kind == "mqtt" and not self._until_end

            def open_engine(config: Config) -> Engine:
                return Engine(config, sink, sender, folder, inbox, until_end=self._until_end, patient=patient)

            remote = Remote(folder, sender, self._local)
            engine = stack.enter_context(opened(remote, self._local, open_engine))
            live = LiveState()
            stack.callback(live.close)
            stack.enter_context(serve(self._local.web, live, credential("web-password")))
            self._settle(engine.config)
            notifier.ready(f"watching {engine.config.source.kind}")
            changes = Changes(engine, remote, inbox, sink, self._settle)
            ended = self._work(engine, notifier, StatusFeed(live, engine, sink, sender), changes)
            notifier.stopping()
            return engine.summary() if ended else None

    def _state_folder(self) -> Path | None:
        """Return where state is kept; None for a try-out, which must not change what the service goes on with."""
        if self._sink_kind == "stdout":
            return None
        folder = self._local.outbox.path or state_folder()
        if not has_home(folder):
            raise StateError("this user has no home directory to keep messages in: set outbox.path")
        return folder

    def _work(self, engine: Engine, notifier: Notifier, feed: StatusFeed, changes: Changes) -> bool:
        """Work until stopped; return whether the source came to its end before."""
        while not self._stop and engine.step():
            feed.update(time.monotonic())
            if engine.fresh:
                notifier.fresh_frame(time.monotonic())
            if self._reload_wanted:
                self._reload_wanted = False
                notifier.reloading()
                changes.reload(self._reload)
                notifier.ready(f"watching {engine.config.source.kind}")
            changes.turn(time.monotonic())
        if self._stop:
            return False
        engine.finish()
        return True

    def _settle(self, config: Config) -> None:
        """Have a configuration's threads in force, and give back what opening took and working does not need."""
        _limit_threads(config)
        trim_heap()
        evict_library_pages(self._libraries)

    def _catch_signals(self, stack: ExitStack) -> None:
        def on_stop(_number: int, _frame: FrameType | None) -> None:
            self._stop = True

        def on_reload(_number: int, _frame: FrameType | None) -> None:
            self._reload_wanted = True

        for number, handler in ((signal.SIGTERM, on_stop), (signal.SIGINT, on_stop), (signal.SIGHUP, on_reload)):
            stack.callback(signal.signal, number, signal.signal(number, handler))


def _limit_threads(config: Config) -> None:
    cv2.setNumThreads(config.detector.threads)  # process-wide: cv2.dnn has no number of its own
