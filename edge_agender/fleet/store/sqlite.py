"""SQLite in WAL mode: one file, one process that writes, no server.

A commit returns once the log is on the disk (synchronous=FULL): what was acknowledged to the broker survives the plug.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_agender.fleet.store.base import Key, Params, StoreBusyError

BUSY_TIMEOUT_S = 30.0
# Errors after which the same statement may work later; anything else is a fault of the data or the program.
_LATER = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
)


def later(error: sqlite3.OperationalError) -> bool:
    """Say whether the same may work later."""
    return (error.sqlite_errorcode & 0xFF) in _LATER


class SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, params or {}).fetchall()

    def run(self, sql: str, params: Params | None = None) -> int:
        return self._connection.execute(sql, params or {}).rowcount

    def many(self, sql: str, params: Sequence[Params]) -> None:
        self._connection.executemany(sql, params)

    def insert_new(self, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Key]) -> set[Key]:
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        places = [columns.index(name) for name in key]
        execute = self._connection.execute
        return {tuple(row[place] for place in places) for row in rows if execute(sql, row).rowcount}

    def lookup(self, table: str, key: Sequence[str], columns: Sequence[str], keys: Iterable[Key]) -> dict[Key, Key]:
        where = " AND ".join(f"{name} = ?" for name in key)
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {where}"
        found = ((one, self._connection.execute(sql, one).fetchone()) for one in keys)
        return {one: row for one, row in found if row is not None}

    def lock_streams(self, streams: Sequence[tuple[str, str, str]], now_s: int) -> dict[tuple[str, str, str], int]:
        if not streams:
            return {}
        made = [(*stream, -1, now_s, now_s) for stream in streams]
        columns = ("device", "kind", "boot_id", "last", "first_seen_s", "last_seen_s")
        self.insert_new("stream", columns, columns[:3], made)
        found = self.lookup("stream", columns[:3], ("last",), streams)
        return {(one[0], one[1], one[2]): row[0] for one, row in found.items()}

    def alone(self, task: int) -> bool:
        """One writes at a time."""
        return True

    def ensure_days(self, starts_s: Iterable[int]) -> None:
        """SQLite has no partitions."""

    def delete_before(self, table: str, column: str, before_s: int, most: int) -> int:
        found = self._connection.execute(f"SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk")
        key = ", ".join(name for (name,) in found)
        picked = f"SELECT {key} FROM {table} WHERE {column} < ? LIMIT ?"
        sql = f"DELETE FROM {table} WHERE ({key}) IN ({picked})"
        return self._connection.execute(sql, (before_s, most)).rowcount


class SqliteDatabase:
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        """Open a file that is up to date (see opening.py)."""
        self.path = path
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=FULL")
            found.execute("PRAGMA cache_size=-16384")
            self._local.connection = found
            with self._lock:
                self._all.append(found)
        return found

    @contextmanager
    def writing(self) -> Iterator[SqliteTransaction]:
        with self._transaction("BEGIN IMMEDIATE") as transaction:
            yield transaction

    @contextmanager
    def reading(self) -> Iterator[SqliteTransaction]:
        with self._transaction("BEGIN") as transaction:
            yield transaction

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[SqliteTransaction]:
        try:
            connection = self._connection()
            connection.execute(begin)
            try:
                yield SqliteTransaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has rolled back by itself.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            if later(error):
                raise StoreBusyError(f"{self.path}: {error}") from error
            raise

    def size_bytes(self) -> int:
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()
