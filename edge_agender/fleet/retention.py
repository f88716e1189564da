"""Deletes what is old, kind by kind: raw messages first, measurements later. Hours and published days stay."""

from __future__ import annotations

from edge_agender.fleet.settings import KeepConfig
from edge_agender.fleet.store import Database

DAY_S = 86400
# Rows in one transaction: the collector waits for its end.
AT_ONCE = 5000


def delete_old(database: Database, keep: KeepConfig, now_s: float) -> int:
    """Delete a bounded number of old rows; return how many. Call it until that is 0."""
    deleted = 0
    with database.writing() as transaction:
        limits = {
            ("message", "received_s"): keep.raw_days,
            ("conflict", "received_s"): keep.refused_days,
            ("refused", "received_s"): keep.refused_days,
            ("audience_content", "start_s"): keep.window_days,
            ("audience_window", "start_s"): keep.window_days,
            ("audience_cell", "start_s"): keep.demographics_days,
            ("audience_demographics", "start_s"): keep.demographics_days,
        }
        for (table, column), days in limits.items():
            deleted += transaction.delete_before(table, column, int(now_s - days * DAY_S), AT_ONCE)
    return deleted
