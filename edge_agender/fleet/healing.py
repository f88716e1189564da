"""Asks devices for what a broker lost: a gap in the numbers of one boot is a range that the device may still have.

The command goes to {prefix}/{device}/resend; the device sends what it has kept once more, as historical messages. What
it does not have any more stays missing, and is shown as lost after some tries.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_agender.fleet.settings import HealConfig
from edge_agender.fleet.store import Database

_log = logging.getLogger(__name__)

# Messages that are asked for at once, and commands a turn: a device that was away has enough to do.
AT_ONCE = 500
COMMANDS = 50
LOST = "lost"


@dataclass(frozen=True, slots=True)
class Gap:
    device: str
    kind: str
    boot_id: str
    first: int
    last: int
    asked: int

    def command(self) -> bytes:
        last = min(self.last, self.first + AT_ONCE - 1)
        text = {"kind": self.kind, "boot_id": self.boot_id, "from": self.first, "to": last}
        return json.dumps(text, separators=(",", ":")).encode()


def heal(
    database: Database, config: HealConfig, prefix: str, publish: Callable[[str, bytes], bool], now_s: float
) -> int:
    """Ask for gaps that are due; return how many commands went out. `publish` says whether it could."""
    asked = 0
    for gap in _due(database, config, int(now_s)):
        if gap.asked >= config.tries:
            _settle(database, gap, {"outcome": LOST, "asked": gap.asked, "asked_s": int(now_s)})
            _log.warning("%s: %s %d to %d of %s are lost", gap.device, gap.kind, gap.first, gap.last, gap.boot_id)
            continue
        if not publish(f"{prefix}/{gap.device}/resend", gap.command()):
            break
        _settle(database, gap, {"outcome": None, "asked": gap.asked + 1, "asked_s": int(now_s)})
        asked += 1
    return asked


def _due(database: Database, config: HealConfig, now_s: int) -> list[Gap]:
    """The oldest gap of each device: one command at a time. Only of devices that are there to answer."""
    sql = (
        "SELECT gap.device, kind, boot_id, first, last, asked FROM gap JOIN device ON device.name = gap.device"
        " WHERE outcome IS NULL AND found_s <= :found_s AND (asked_s IS NULL OR asked_s <= :asked_s)"
        " AND (state = 'online' OR asked >= :tries) ORDER BY asked_s IS NOT NULL, found_s LIMIT :most"
    )
    values = {
        "found_s": int(now_s - config.after_s),
        "asked_s": int(now_s - config.every_s),
        "tries": config.tries,
        "most": COMMANDS * 4,
    }
    with database.reading() as transaction:
        found = [Gap(*row) for row in transaction.rows(sql, values)]
    first_of: dict[str, Gap] = {}
    for gap in found:
        first_of.setdefault(gap.device, gap)
    return list(first_of.values())[:COMMANDS]


def _settle(database: Database, gap: Gap, values: dict[str, Any]) -> None:
    with database.writing() as transaction:
        transaction.run(
            "UPDATE gap SET outcome = :outcome, asked = :asked, asked_s = :asked_s WHERE device = :device"
            " AND kind = :kind AND boot_id = :boot_id AND first = :first",
            values | {"device": gap.device, "kind": gap.kind, "boot_id": gap.boot_id, "first": gap.first},
        )
