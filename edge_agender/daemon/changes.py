"""What changes the configuration of a running daemon: the local file, read again on SIGHUP, and what came from afar."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edge_agender.config.settings import Config
from edge_agender.daemon.engine import Engine
from edge_agender.daemon.remote import Remote
from edge_agender.delivery.inbox import Inbox
from edge_agender.delivery.sinks import Sink
from edge_agender.errors import EdgeAgenderError

log = logging.getLogger(__name__)

REFUSED = "the configuration file is refused: run edge-agender check"


class Changes:
    """Takes new configurations over while the engine works. `settle` is called with each that is in force."""

    def __init__(
        self, engine: Engine, remote: Remote, inbox: Inbox, sink: Sink, settle: Callable[[Config], None]
    ) -> None:
        self._engine, self._remote, self._inbox, self._sink, self._settle = engine, remote, inbox, sink, settle

    def reload(self, read: Callable[[], Config]) -> None:
        """Let the local file take over. One that cannot is refused in words, and the old configuration stays."""
        before = self._engine.config
        try:
            self._remote.reload(read(), self._apply, time.time())
        except Exception as error:  # whatever it is: the old configuration is a good one
            log.debug("reload", exc_info=True)
            known = isinstance(error, EdgeAgenderError)
            for line in (str(error) if known else f"{type(error).__name__}: {error}").splitlines():
                log.error("the new configuration is refused, the old one stays: %s", line)
            self._engine.alarms.switch(REFUSED, on=True)
        else:
            self._engine.alarms.switch(REFUSED, on=False)
            changed = self._engine.config != before
            log.info("the new configuration is in force" if changed else "the configuration has not changed")

    def turn(self, now_s: float) -> None:
        """Take over what has come from afar, and report what became of it. `now_s` is monotonic."""
        payload = self._inbox.take_desired()
        if payload is not None:
            self._remote.take(payload, self._apply, time.time())
        self._remote.progress(now_s, fresh=self._engine.fresh)
        if self._remote.has_news:
            self._sink.put(self._remote.message(time.time()))

    def _apply(self, config: Config) -> None:
        if self._engine.reconfigure(config):
            self._settle(config)


def opened(remote: Remote, local: Config, open_engine: Callable[[Config], Engine]) -> Engine:
    """Return an engine on what is in force; on the local file alone, where that opens and the other does not."""
    config = remote.start()
    try:
        return open_engine(config)
    except EdgeAgenderError as error:
        if config == local:
            raise
        engine = open_engine(local)
        remote.give_up(str(error))
        return engine
