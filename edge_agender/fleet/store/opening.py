"""Opens a store by its URL and brings its tables up to date (yoyo-migrations)."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from edge_agender.common.files import alone
from edge_agender.errors import ConfigError, first_line
from edge_agender.fleet.store.base import Database, StoreBusyError
from edge_agender.fleet.store.sqlite import SqliteDatabase, later

SQLITE, POSTGRESQL = "sqlite:///", "postgresql://"


def open_database(url: str, migrate: bool = True) -> Database:
    """Open `sqlite:///PATH` or `postgresql://USER@HOST/NAME`.

    Raises ConfigError for another, and StoreBusyError where trying again may help: a full disk, a server that is away.
    """
    if url.startswith(SQLITE):
        path = Path(url.removeprefix(SQLITE))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"store: {path.parent}: {error.strerror}") from None
        database: Database = SqliteDatabase(path)
        if migrate:
            _bring_up_to_date(database, f"{SQLITE}{path.absolute()}", lambda: alone(path.parent))
        return database
    if url.startswith(POSTGRESQL):
        from edge_agender.fleet.store.postgresql import PostgresqlDatabase, alone_in

        database = PostgresqlDatabase(url)
        if migrate:
            yoyo_url = url.replace(POSTGRESQL, "postgresql+psycopg://")
            _bring_up_to_date(database, yoyo_url, lambda: alone_in(url))
        return database
    raise ConfigError(f"store: {url!r} is neither {SQLITE}PATH nor {POSTGRESQL}USER@HOST/NAME")


def _bring_up_to_date(database: Database, url: str, alone: Callable[[], AbstractContextManager[None]]) -> None:
    try:
        from yoyo import read_migrations
    except ImportError:
        raise ConfigError("the fleet needs its own packages: pip install 'edge-agender[fleet]'") from None
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    with as_file(files("edge_agender.fleet.store") / "migrations" / database.kind) as folder:
        migrations = read_migrations(str(folder))
        try:
            # The usual start writes nothing, and so needs no room on the disk.
            if not {one.hash for one in migrations} <= _applied(database):
                with alone():
                    _migrate(url, migrations)
        except StoreBusyError:
            database.close()
            raise
        except Exception as error:
            database.close()
            kind = StoreBusyError if _may_work_later(error) else ConfigError
            raise kind(f"store: {type(error).__name__}: {first_line(error)}") from error


def _applied(database: Database) -> set[str]:
    """Return the hashes of the migrations that were applied; none where nothing is there yet."""
    try:
        with database.reading() as transaction:
            return {str(name) for (name,) in transaction.rows("SELECT migration_hash FROM _yoyo_migration")}
    except StoreBusyError:
        raise
    except Exception:  # no such table: each driver has its own error for that
        return set()


def _migrate(url: str, migrations: Any) -> None:
    """Apply what is missing. Nobody else does so now: a lock that is there is that of a process that was killed."""
    from yoyo import get_backend

    backend = get_backend(url)
    try:
        if backend.lock_table in backend.list_tables():
            backend.break_lock()
        for migration in backend.to_apply(migrations):
            # Not yoyo's own apply_one: it makes the tables in one transaction and notes that in another.
            with backend.transaction():
                migration.process_steps(backend, "apply")
                backend.mark_one(migration, log=False)
    finally:
        backend.connection.close()


def _may_work_later(error: BaseException) -> bool:
    """A full disk, a locked file, a server that is away; not a table that contradicts a migration."""
    if isinstance(error, sqlite3.OperationalError):
        return later(error)
    return isinstance(error, OSError) or "OperationalError" in {kind.__name__ for kind in type(error).__mro__}
