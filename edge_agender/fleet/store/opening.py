"""Opens a store by its URL and brings its tables up to date (yoyo-migrations)."""

from __future__ import annotations

import logging
from importlib.resources import as_file, files
from pathlib import Path

from edge_agender.errors import ConfigError
from edge_agender.fleet.store.base import Database
from edge_agender.fleet.store.sqlite import SqliteDatabase

SQLITE, POSTGRESQL = "sqlite:///", "postgresql://"


def open_database(url: str, migrate: bool = True) -> Database:
    """Open `sqlite:///PATH` or `postgresql://USER@HOST/NAME`; raises ConfigError for another and where it fails."""
    if url.startswith(SQLITE):
        path = Path(url.removeprefix(SQLITE))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"store: {path.parent}: {error.strerror}") from None
        _migrate(f"{SQLITE}{path.absolute()}", "sqlite")
        return SqliteDatabase(path)
    if url.startswith(POSTGRESQL):
        from edge_agender.fleet.store.postgresql import PostgresqlDatabase

        if migrate:
            _migrate(url.replace(POSTGRESQL, "postgresql+psycopg://"), "postgresql")
        return PostgresqlDatabase(url)
    raise ConfigError(f"store: {url!r} is neither {SQLITE}PATH nor {POSTGRESQL}USER@HOST/NAME")


def _migrate(url: str, dialect: str) -> None:
    try:
        from yoyo import get_backend, read_migrations
    except ImportError:
        raise ConfigError("the fleet needs its own packages: pip install 'edge-agender[fleet]'") from None
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    with as_file(files("edge_agender.fleet.store") / "migrations" / dialect) as folder:
        try:
            backend = get_backend(url)
            with backend.lock():
                backend.apply_migrations(backend.to_apply(read_migrations(str(folder))))
        except Exception as error:
            raise ConfigError(f"store: {type(error).__name__}: {str(error).splitlines()[0]}") from error
        finally:
            if "backend" in locals():
                backend.connection.close()
