"""The few operations by which the fleet uses a database, so that both kinds share every statement that they can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from edge_agender.errors import EdgeAgenderError

Params: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[Any, ...]


class StoreBusyError(EdgeAgenderError, OSError):
    """The store cannot be used now: full, locked, or not reachable. Trying again later may work."""

    exit_code = 74


class Transaction(Protocol):
    """One transaction; statements take `:name` parameters. It commits where its block ends without an exception.

    Raises StoreBusyError where trying again may help.
    """

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Return what a SELECT, or a statement with RETURNING, finds."""

    def run(self, sql: str, params: Params | None = None) -> int:
        """Execute one statement; return how many rows it changed."""

    def many(self, sql: str, params: Sequence[Params]) -> None:
        """Execute one statement for each set of parameters."""

    def insert_new(self, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Key]) -> set[Key]:
        """Insert the rows whose key is not there yet; return the keys of those."""

    def lookup(self, table: str, key: Sequence[str], columns: Sequence[str], keys: Iterable[Key]) -> dict[Key, Key]:
        """Return `columns` by key, for the keys that are there."""

    def lock_streams(self, streams: Sequence[tuple[str, str, str]], now_s: int) -> dict[tuple[str, str, str], int]:
        """Return the last sequence number of each stream, made with -1 where it is new. No other transaction gets at
        these streams before this one has ended."""

    def alone(self, task: int) -> bool:
        """Say whether nobody else is at this task, who then keeps out until this transaction has ended."""

    def ensure_days(self, starts_s: Iterable[int]) -> None:
        """Make the partitions for measurements that start then, where this database has partitions."""

    def delete_before(self, table: str, column: str, before_s: int, most: int) -> int:
        """Delete up to `most` rows, or whole partitions, of which `column` is below; return how many rows went."""


class Database(Protocol):
    """Thread-safe; a transaction belongs to the thread that began it."""

    kind: str

    def writing(self) -> AbstractContextManager[Transaction]: ...

    def reading(self) -> AbstractContextManager[Transaction]:
        """One view of the data that does not change meanwhile, and changes nothing."""

    def size_bytes(self) -> int: ...

    def close(self) -> None: ...
