"""The outbox's shelf on disk: durable messages in one SQLite file, in the order in which they were put.

Power cuts: commits run with synchronous=NORMAL, which in WAL mode never damages the file, and `sync()` then flushes
the log in one fsync a batch. So a commit returns as soon as the kernel has the bytes (a killed process loses none),
and a batch survives the plug from its fsync on. Deletions need no fsync: losing one is a duplicate, not a loss.

The file is locked exclusively: no shared-memory index is written, and a second daemon cannot send the same messages.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agender.common.files import sync_folder
from edge_agender.messages.message import Message

FILE_NAME = "outbox.sqlite3"
FORMAT = 1
# Pages in the log before SQLite copies them into the file: 1 MiB, so that the log stays small on a small card.
_CHECKPOINT_PAGES = 256
_CACHE_KB = 256
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA}
# Messages that the broker has acknowledged, for who asks for them again: an acknowledgement is no proof of storage.
_SENT_TABLE = (
    "CREATE TABLE IF NOT EXISTS sent (id INTEGER PRIMARY KEY, clock_s REAL NOT NULL, kind TEXT NOT NULL,"
    " boot_id TEXT NOT NULL, sequence INTEGER NOT NULL, topic TEXT NOT NULL, qos INTEGER NOT NULL,"
    " retain INTEGER NOT NULL, payload BLOB NOT NULL, checksum INTEGER NOT NULL)"
)
_SENT_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS sent_number ON sent (kind, boot_id, sequence)"
_COLUMNS = "id, clock_s, kind, topic, qos, retain, payload, checksum"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, clock_s REAL NOT NULL, kind TEXT NOT NULL,"
    " topic TEXT NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL, payload BLOB NOT NULL,"
    " checksum INTEGER NOT NULL)"
)
# What a row costs beside its topic and payload: files of 10,000 rows of 300 to 4,000 bytes were 1 to 8 % larger.
ROW_BYTES = 40
_SIZE = f"length(payload) + length(CAST(topic AS BLOB)) + {ROW_BYTES}"


class StoreError(Exception):
    """The store cannot be used now: the disk is full, read-only, gone, or another process holds the file."""


class StoreDamagedError(StoreError):
    """The file is not a store, or no longer one."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stored message. `clock_s` is the outbox's own clock when it was put (see outbox.py)."""

    id: int
    clock_s: float
    message: Message

    @property
    def size_bytes(self) -> int:
        return size_bytes(self.message)


def size_bytes(message: Message) -> int:
    """What a message takes on disk, near enough for a bound."""
    return len(message.payload) + len(message.topic.encode()) + ROW_BYTES


def numbered(message: Message) -> tuple[str, int] | None:
    """Return the boot and the sequence number that a message carries; None where it has none."""
    try:
        payload = json.loads(message.payload)
        boot_id, sequence = payload["boot_id"], payload["sequence"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    fits = isinstance(boot_id, str) and isinstance(sequence, int) and 0 <= sequence < 2**63
    return (boot_id, sequence) if fits else None


class Store:
    """One open store, for one thread at a time. Every method raises StoreError or StoreDamagedError."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise _explained(error, folder) from None
        try:
            self._prepare(folder)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, folder: Path) -> None:
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            self._db.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, FORMAT):
                raise StoreDamagedError(f"{self.path}: written by another version (format {found})")
            if found == 0:
                self._db.execute(_TABLE)
                self._db.execute(f"PRAGMA user_version={FORMAT}")
            self._db.execute(_SENT_TABLE)
            self._db.execute(_SENT_INDEX)
            self.sync()
            sync_folder(folder)
            query = f"SELECT count(*), coalesce(sum({_SIZE}), 0), coalesce(max(id), 0), coalesce(max(clock_s), 0)"
            query += " FROM message"
            self.count, self.bytes, last_id, last_clock_s = self._db.execute(query).fetchone()
            query = f"SELECT coalesce(sum({_SIZE}), 0), coalesce(max(id), 0), coalesce(max(clock_s), 0) FROM sent"
            self.sent_bytes, sent_id, sent_clock_s = self._db.execute(query).fetchone()
            self.last_id, self.last_clock_s = max(last_id, sent_id), max(last_clock_s, sent_clock_s)
        except (OSError, sqlite3.Error) as error:
            raise _explained(error, self.path) from None

    def commit(self, add: Sequence[Row], remove: Sequence[int], delivered: Collection[int] = ()) -> None:
        """Write and delete in one transaction. The caller numbers rows above `last_id`.

        Of the rows to remove, those `delivered` are kept aside for `take_back`.
        """
        values = [_values(row) for row in add]
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                kept_bytes = self._keep_aside([row_id for row_id in remove if row_id in delivered])
                gone = self._delete(remove)
                self._db.executemany(f"INSERT INTO message ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        except sqlite3.Error as error:
            raise _explained(error, self.path) from None
        self.count += len(add) - len(gone)
        self.bytes += sum(row.size_bytes for row in add) - sum(gone)
        self.sent_bytes += kept_bytes
        self.last_id = max([self.last_id, *(row.id for row in add)])

    def _keep_aside(self, ids: Sequence[int]) -> int:
        """Copy rows that carry a boot and a number to those sent; return their bytes."""
        kept_bytes = 0
        for row_id in ids:
            values = self._db.execute(f"SELECT {_COLUMNS} FROM message WHERE id = ?", (row_id,)).fetchone()
            row = _row(values) if values else None
            number = numbered(row.message) if row else None
            if row is None or number is None:
                continue
            self._db.execute(
                f"INSERT OR REPLACE INTO sent ({_COLUMNS}, boot_id, sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*_values(row), *number),
            )
            kept_bytes += row.size_bytes
        return kept_bytes

    def take_back(self, kind: str, boot_id: str, first: int, last: int, limit: int) -> int:
        """Put messages that were sent behind those that wait, to be sent again; return how many there were."""
        where = "kind = ? AND boot_id = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?"
        query = f"SELECT {_COLUMNS} FROM sent WHERE {where}"
        try:
            found = self._db.execute(query, (kind, boot_id, first, last, limit)).fetchall()
            rows = [row for values in found if (row := _row(values)) is not None]
            again = [Row(self.last_id + 1 + place, row.clock_s, row.message) for place, row in enumerate(rows)]
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("DELETE FROM sent WHERE id = ?", [(values[0],) for values in found])
                marks = "?, ?, ?, ?, ?, ?, ?, ?"
                self._db.executemany(f"INSERT INTO message ({_COLUMNS}) VALUES ({marks})", map(_values, again))
        except sqlite3.Error as error:
            raise _explained(error, self.path) from None
        self.sent_bytes -= sum(row.size_bytes for row in rows)
        self.count += len(again)
        self.bytes += sum(row.size_bytes for row in again)
        self.last_id += len(again)
        return len(again)

    def forget_sent(self, before_s: float, max_bytes: float, limit: int) -> None:
        """Delete the oldest of those sent: up to `limit` that are older, or more than fit."""
        try:
            oldest = self._db.execute(f"SELECT id, clock_s, {_SIZE} FROM sent ORDER BY id LIMIT ?", (limit,)).fetchall()
            gone, left_bytes = [], self.sent_bytes
            for row_id, clock_s, size in oldest:
                if clock_s >= before_s and left_bytes <= max_bytes:
                    break
                gone.append((row_id,))
                left_bytes -= size
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("DELETE FROM sent WHERE id = ?", gone)
        except sqlite3.Error as error:
            raise _explained(error, self.path) from None
        self.sent_bytes = left_bytes

    def _delete(self, ids: Sequence[int]) -> list[int]:
        """Return the sizes of the rows that were there."""
        query = f"DELETE FROM message WHERE id = ? RETURNING {_SIZE}"
        sizes: list[int] = []
        for row_id in ids:
            sizes += [size for (size,) in self._db.execute(query, (row_id,))]
        return sizes

    def sync(self) -> None:
        """Return once everything committed so far would survive the plug."""
        try:
            descriptor = os.open(_log_of(self.path), os.O_RDONLY)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _explained(error, self.path) from None
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise _explained(error, self.path) from None
        finally:
            os.close(descriptor)

    def read(self, after_id: int, limit: int) -> tuple[list[Row], list[int]]:
        """Return up to `limit` rows behind `after_id`, oldest first, and the numbers of those with a wrong checksum."""
        query = f"SELECT {_COLUMNS} FROM message WHERE id > ? ORDER BY id LIMIT ?"
        try:
            found = self._db.execute(query, (after_id, limit)).fetchall()
        except sqlite3.Error as error:
            raise _explained(error, self.path) from None
        rows, wrong = [], []
        for values in found:
            row = _row(values)
            if row is None:
                wrong.append(int(values[0]))
            else:
                rows.append(row)
        return rows, wrong

    def oldest(self, after_id: int, limit: int) -> list[tuple[int, float, int]]:
        """Return (id, clock_s, bytes) of the oldest rows behind `after_id`."""
        query = f"SELECT id, clock_s, {_SIZE} FROM message WHERE id > ? ORDER BY id LIMIT ?"
        try:
            return self._db.execute(query, (after_id, limit)).fetchall()
        except sqlite3.Error as error:
            raise _explained(error, self.path) from None

    def close(self) -> None:
        """Fold the log into the file and let go. Never raises: what was committed is in the log."""
        with suppress(sqlite3.Error):
            self._db.close()


def set_aside(folder: Path, keep: int = 2) -> Path | None:
    """Rename a damaged store and its log so that a new one can be made; return where to, None where that failed.

    Only the newest `keep` are kept: a dying card must not fill itself with its own remains.
    """
    path = folder / FILE_NAME
    taken = sorted((int(p.name.rpartition("-")[2]), p) for p in folder.glob(f"{FILE_NAME}.damaged-*[0-9]"))
    target = folder / f"{FILE_NAME}.damaged-{taken[-1][0] + 1 if taken else 1}"
    try:
        for _, old in taken[: max(len(taken) + 1 - keep, 0)]:
            old.unlink()
            _log_of(old).unlink(missing_ok=True)
        if _log_of(path).exists():
            _log_of(path).rename(_log_of(target))
        path.rename(target)
        sync_folder(folder)
    except OSError:
        return None
    return target


def salvage(path: Path) -> Iterator[Row]:
    """Yield what can still be read of a store that was set aside: from the front to the damage, then from behind it."""
    last_id = 0
    for row in _readable(path, "SELECT {} FROM message ORDER BY id"):
        last_id = row.id
        yield row
    behind = f"SELECT {{}} FROM message WHERE id > {last_id} ORDER BY id DESC"
    yield from reversed(list(_readable(path, behind)))


def _readable(path: Path, query: str) -> Iterator[Row]:
    try:
        with closing(sqlite3.connect(path, timeout=0)) as database:
            for values in database.execute(query.format(_COLUMNS)):
                row = _row(values)
                if row is not None:
                    yield row
    except sqlite3.Error:
        return


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _values(row: Row) -> tuple[object, ...]:
    message = row.message
    return (
        row.id,
        row.clock_s,
        message.kind,
        message.topic,
        message.qos,
        int(message.retain),
        message.payload,
        _checksum(message),
    )


def _row(values: tuple[object, ...]) -> Row | None:
    """The row that a record holds; None where its checksum says that it was changed."""
    number, clock_s, kind, topic, qos, retain, payload, checksum = values
    if not (isinstance(topic, str) and isinstance(payload, bytes) and isinstance(clock_s, float)):
        return None
    message = Message(str(kind), topic, payload, int(str(qos)), bool(retain), durable=True)
    return Row(int(str(number)), clock_s, message) if checksum == _checksum(message) else None


def _checksum(message: Message) -> int:
    return zlib.crc32(message.payload, zlib.crc32(message.topic.encode()))


def _explained(error: OSError | sqlite3.Error, path: Path) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    damaged = code is not None and (code & 0xFF in _DAMAGED or code == sqlite3.SQLITE_IOERR_SHORT_READ)
    if damaged or (isinstance(error, sqlite3.DatabaseError) and code is None):
        return StoreDamagedError(f"{path}: {error}")
    if code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{path}: another process holds the file: give each daemon its own outbox.path")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return StoreError(f"{path}: {reason}")
