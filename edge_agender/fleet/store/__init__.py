"""Where the fleet's messages live: SQLite for one server, PostgreSQL for many collectors."""

from __future__ import annotations

from edge_agender.fleet.store.base import Database, StoreBusyError, Transaction
from edge_agender.fleet.store.opening import open_database

__all__ = ["Database", "StoreBusyError", "Transaction", "open_database"]
