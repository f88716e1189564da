"""The status page: read-only, released values only, no picture to serve.

`serve` is all that the service needs. A page that cannot be served never stops the counting.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agender.config.settings import WebConfig
from edge_agender.web.access import Access, read_password
from edge_agender.web.server import StatusServer
from edge_agender.web.snapshot import LiveState

logger = logging.getLogger(__name__)


@contextmanager
def serve(config: WebConfig, live: LiveState, password_file: Path | None = None) -> Iterator[StatusServer | None]:
    """Serve the page while open; yields None where it is disabled or its port is taken (one warning).

    `password_file` replaces the configured one (a systemd credential). Raises CredentialError where it is unusable.
    """
    if not config.enabled:
        yield None
        return
    file = password_file or config.password_file
    access = Access(read_password(file) if file else None, config.hostnames)
    try:
        server = StatusServer(config, live, access)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none, such as a..b
        reason = getattr(error, "strerror", None) or str(error)
        logger.warning("no status page: %s port %d: %s: change web.port", config.host, config.port, reason)
        yield None
        return
    server.start()
    logger.info("status page at http://%s:%d/", server.shown_host, server.port)
    try:
        yield server
    finally:
        server.stop()
