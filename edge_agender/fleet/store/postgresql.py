"""PostgreSQL: many collectors at once, rows by COPY, what grows with every message in one partition a day (UTC).

A commit returns once the log is on the disk (the server's synchronous_commit, on by default).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import gmtime, strftime
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql as parts

from edge_agender.errors import first_line
from edge_agender.fleet.store.base import Key, Params, StoreBusyError

DAY_S = 86400
BY_DAY = ("message", "audience_window", "audience_content", "audience_demographics", "audience_cell")
# Partitions are made for measurements of so many days before and behind now; what claims another time shares one.
DAYS_BACK, DAYS_AHEAD = 400, 2
# Below so many rows INSERT is as fast as a table to COPY into.
COPY_FROM = 20
_LOCK_DAYS, _LOCK_TABLES = 7_121_001, 7_121_002
_NAMED = re.compile(r"(?<!:):([a-z_]\w*)")


@lru_cache(maxsize=256)
def _translated(text: str) -> bytes:
    """`:name` as psycopg wants it; a percent sign that stands for itself is doubled."""
    return _NAMED.sub(r"%(\1)s", text.replace("%", "%%")).encode()


class PostgresqlTransaction:
    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], days: set[int]) -> None:
        self._connection, self._days = connection, days

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(_translated(sql), params or {}).fetchall()

    def run(self, sql: str, params: Params | None = None) -> int:
        return self._connection.execute(_translated(sql), params or {}).rowcount

    def many(self, sql: str, params: Sequence[Params]) -> None:
        if params:
            self._connection.cursor().executemany(_translated(sql), params)

    def insert_new(self, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Key]) -> set[Key]:
        if not rows:
            return set()
        names, keys, into = _names(columns), _names(key), parts.Identifier(table)
        if len(rows) < COPY_FROM:
            marks = parts.SQL(", ").join([parts.Placeholder()] * len(columns))
            insert = parts.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING RETURNING {}")
            with self._connection.cursor() as cursor:
                cursor.executemany(insert.format(into, names, marks, keys), rows, returning=True)
                return {row for _ in cursor.results() for row in cursor.fetchall()}
        with self._connection.cursor() as cursor:
            staged = parts.Identifier(f"new_{table}")
            make = parts.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS")
            cursor.execute(make.format(staged, into))
            # A row may lack columns that another statement fills.
            cursor.execute(parts.SQL("TRUNCATE {}").format(staged))
            for name in _not_null(cursor, f"new_{table}", columns):
                drop = parts.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL")
                cursor.execute(drop.format(staged, parts.Identifier(name)))
            with cursor.copy(parts.SQL("COPY {} ({}) FROM STDIN").format(staged, names)) as copy:
                for row in rows:
                    copy.write_row(row)
            insert = parts.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ORDER BY {} ON CONFLICT DO NOTHING RETURNING {}")
            return set(cursor.execute(insert.format(into, names, names, staged, keys, keys)).fetchall())

    def lookup(self, table: str, key: Sequence[str], columns: Sequence[str], keys: Iterable[Key]) -> dict[Key, Key]:
        wanted = list(keys)
        if not wanted:
            return {}
        arrays = parts.SQL(", ").join(
            parts.SQL("%s::{}").format(parts.SQL(_array_type(wanted[0][place]))) for place in range(len(key))
        )
        query = parts.SQL("SELECT {}, {} FROM {} JOIN unnest({}) AS wanted ({}) USING ({})").format(
            _names(key), _names(columns), parts.Identifier(table), arrays, _names(key), _names(key)
        )
        found = self._connection.execute(query, [list(column) for column in zip(*wanted, strict=True)])
        return {row[: len(key)]: row[len(key) :] for row in found}

    def lock_streams(self, streams: Sequence[tuple[str, str, str]], now_s: int) -> dict[tuple[str, str, str], int]:
        if not streams:
            return {}
        made = [(*stream, -1, now_s, now_s) for stream in streams]
        columns = ("device", "kind", "boot_id", "last", "first_seen_s", "last_seen_s")
        self.insert_new("stream", columns, columns[:3], sorted(made))
        # In one order, so that two collectors never wait for each other.
        query = (
            "SELECT device, kind, boot_id, last FROM stream JOIN unnest(%s::text[], %s::text[], %s::text[])"
            " AS wanted (device, kind, boot_id) USING (device, kind, boot_id)"
            " ORDER BY device, kind, boot_id FOR UPDATE OF stream"
        )
        found = self._connection.execute(query, [list(column) for column in zip(*streams, strict=True)])
        return {(device, kind, boot_id): last for device, kind, boot_id, last in found}

    def alone(self, task: int) -> bool:
        taken = self._connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (_LOCK_DAYS, task))
        return bool(taken.fetchall()[0][0])

    def ensure_days(self, starts_s: Iterable[int]) -> None:
        wanted = {start_s // DAY_S for start_s in starts_s} - self._days
        if not wanted:
            return
        now_s = self._connection.execute("SELECT extract(epoch FROM now())::bigint").fetchall()[0][0]
        span = range(now_s // DAY_S - DAYS_BACK, now_s // DAY_S + DAYS_AHEAD + 1)
        for day in sorted(wanted.intersection(span)):
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_DAYS,))
            for table in BY_DAY:
                self._make_partition(table, day)
        self._days |= wanted

    def _make_partition(self, table: str, day: int) -> None:
        name = f"{table}_{strftime('%Y%m%d', gmtime(day * DAY_S))}"
        make = parts.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})")
        limits = (parts.Literal(day * DAY_S), parts.Literal((day + 1) * DAY_S))
        self._connection.execute(make.format(parts.Identifier(name), parts.Identifier(table), *limits))

    def delete_before(self, table: str, column: str, before_s: int, most: int) -> int:
        if table in BY_DAY and column == "start_s":
            return self._drop_partitions(table, before_s)
        rows = "SELECT tableoid, ctid FROM {t} WHERE {c} < %s LIMIT %s"
        query = parts.SQL(f"DELETE FROM {{t}} WHERE (tableoid, ctid) IN ({rows})")
        made = query.format(t=parts.Identifier(table), c=parts.Identifier(column))
        return self._connection.execute(made, (before_s, most)).rowcount

    def _drop_partitions(self, table: str, before_s: int) -> int:
        """Drop the days that are over as a whole; return of how many rows, as the planner estimates."""
        query = (
            "SELECT c.relname, greatest(c.reltuples, 1)::bigint FROM pg_inherits i JOIN pg_class c ON c.oid = inhrelid"
        )
        found = self._connection.execute(f"{query} WHERE inhparent = %s::regclass", (table,)).fetchall()
        last = f"{table}_{strftime('%Y%m%d', gmtime(before_s))}"
        old = [(name, rows) for name, rows in found if name < last and name[len(table) + 1 :].isdigit()]
        for name, _ in old:
            self._connection.execute(parts.SQL("DROP TABLE {}").format(parts.Identifier(name)))
        return sum(rows for _, rows in old)


def _names(names: Sequence[str]) -> parts.Composed:
    return parts.SQL(", ").join(map(parts.Identifier, names))


def _array_type(value: Any) -> LiteralString:
    return "bigint[]" if isinstance(value, int) else "text[]"


def _not_null(cursor: psycopg.Cursor[tuple[Any, ...]], table: str, given: Sequence[str]) -> list[str]:
    query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attnotnull"
    return [name for (name,) in cursor.execute(query, (table,)) if name not in given]


@contextmanager
def alone_in(url: str) -> Iterator[None]:
    """Let no other process into such a block of the same database; it ends with the process, however that ends."""
    with psycopg.connect(url, connect_timeout=10, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_TABLES,))
        yield


class PostgresqlDatabase:
    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = url
        self._local = threading.local()
        self._all: list[psycopg.Connection[tuple[Any, ...]]] = []
        self._lock = threading.Lock()

    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        found = cast("psycopg.Connection[tuple[Any, ...]] | None", getattr(self._local, "connection", None))
        if found is None or found.closed:
            found = psycopg.connect(self._url, connect_timeout=10, application_name="edge-agender-fleet")
            found.prepare_threshold = 3
            self._local.connection, self._local.days = found, set()
            with self._lock:
                self._all = [one for one in self._all if not one.closed] + [found]
        return found

    @contextmanager
    def writing(self) -> Iterator[PostgresqlTransaction]:
        with self._transaction(False) as transaction:
            yield transaction

    @contextmanager
    def reading(self) -> Iterator[PostgresqlTransaction]:
        with self._transaction(True) as transaction:
            yield transaction

    @contextmanager
    def _transaction(self, reading: bool) -> Iterator[PostgresqlTransaction]:
        try:
            connection = self._connection()
            days: set[int] = set(self._local.days)
            with connection.transaction():
                if reading:
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                yield PostgresqlTransaction(connection, days)
            self._local.days = days
        except (psycopg.OperationalError, psycopg.errors.SerializationFailure, psycopg.InterfaceError) as error:
            raise StoreBusyError(f"PostgreSQL: {first_line(error)}") from error

    def size_bytes(self) -> int:
        with self.reading() as transaction:
            return int(transaction.rows("SELECT pg_database_size(current_database())")[0][0])

    def close(self) -> None:
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()
