"""Devices as an operator sees them: state, last message, versions, alarms, gaps."""

from __future__ import annotations

import json
from typing import Any

from edge_agender.fleet.store import Database

# Of health only what concerns the machine: the counts of its work are a head count in disguise.
_OF_HEALTH = ("uptime_s", "fps", "cpu_percent", "memory_mb", "temperature_c", "throttled", "clock_synchronised",
              "outbox_waiting", "outbox_dropped", "camera_restarts", "broker_connects")  # fmt: skip
# A clock that is off by more misplaces windows.
CLOCK_OFF_S = 60.0


def devices(database: Database, tenant: str, offline_after_s: float, now_s: float) -> list[dict[str, Any]]:
    """Return every device of a tenant ('' for all), the ones in trouble first."""
    query = (
        "SELECT name, tenant, site, state, measuring, reason, alarms, health, last_seen_s, software, configuration,"
        " clock_off_s, revoked_s, valid_until_s,"
        " (SELECT coalesce(sum(gap.last - gap.first + 1), 0) FROM gap"
        "  WHERE gap.device = device.name AND gap.outcome IS NULL),"
        " (SELECT coalesce(sum(gap.last - gap.first + 1), 0) FROM gap"
        "  WHERE gap.device = device.name AND gap.outcome IS NOT NULL),"
        " (SELECT count(*) FROM conflict WHERE conflict.device = device.name), reported"
        " FROM device WHERE :tenant = '' OR tenant = :tenant ORDER BY name"
    )
    with database.reading() as transaction:
        rows = transaction.rows(query, {"tenant": tenant})
    found = [_device(row, offline_after_s, now_s) for row in rows]
    order = {"alarm": 0, "offline": 1, "silent": 2, "off": 3, "online": 4, "new": 5, "revoked": 6}
    return sorted(found, key=lambda one: (order[one["condition"]], one["name"]))


def _device(row: tuple[Any, ...], offline_after_s: float, now_s: float) -> dict[str, Any]:
    name, tenant, site, state, measuring, reason, alarms, health, last_seen_s, software, configuration = row[:11]
    clock_off_s, revoked_s, valid_until_s, missing, lost, conflicts, reported = row[11:]
    fields = json.loads(health) if health else {}
    troubles = [*json.loads(alarms or "[]")] if state == "online" else []
    if clock_off_s is not None and abs(clock_off_s) > CLOCK_OFF_S:
        troubles.append(f"its clock is off by {clock_off_s:.0f} s")
    if conflicts:
        troubles.append(f"{conflicts} messages contradict stored ones: are there two devices of this name?")
    silent = last_seen_s is not None and now_s - last_seen_s > offline_after_s
    return {
        **{"name": name, "tenant": tenant, "site": site, "state": state, "reason": reason},
        "condition": _condition(state, measuring, silent, bool(troubles), revoked_s, last_seen_s),
        "alarms": troubles,
        **{"last_seen_s": last_seen_s, "software": software, "configuration": configuration},
        **{"missing": int(missing), "lost": int(lost), "conflicts": int(conflicts)},
        **{"revoked": revoked_s is not None, "valid_until_s": valid_until_s},
        "refuses": json.loads(reported)["reasons"] if reported else [],
        "health": {key: fields.get(key) for key in _OF_HEALTH},
    }


def _condition(
    state: str | None, measuring: int | None, silent: bool, alarm: bool, revoked_s: int | None, seen_s: int | None
) -> str:
    if revoked_s is not None:
        return "revoked"
    if seen_s is None and state is None:
        return "new"
    if state in ("offline", "stopped"):
        return "offline"
    if silent:
        return "silent"
    if alarm:
        return "alarm"
    return "off" if measuring == 0 else "online"


def gaps(database: Database, tenant: str, most: int = 1000) -> list[dict[str, Any]]:
    """Return what is missing, newest first, and what became of it."""
    names = ("device", "kind", "boot_id", "first", "last", "found_s", "asked", "outcome")
    query = (
        f"SELECT {', '.join(f'gap.{name}' for name in names)} FROM gap JOIN device ON device.name = gap.device"
        " WHERE :tenant = '' OR device.tenant = :tenant ORDER BY found_s DESC LIMIT :most"
    )
    with database.reading() as transaction:
        rows = transaction.rows(query, {"tenant": tenant, "most": most})
    return [dict(zip(names, row, strict=True)) for row in rows]


def choices(database: Database, tenant: str) -> dict[str, list[str]]:
    """Return what can be filtered by: sites, devices, contents, newest 200 of these."""
    with database.reading() as transaction:
        params = {"tenant": tenant}
        sites = transaction.rows(
            "SELECT DISTINCT site FROM device WHERE :tenant = '' OR tenant = :tenant ORDER BY site", params
        )
        names = transaction.rows("SELECT name FROM device WHERE :tenant = '' OR tenant = :tenant ORDER BY name", params)
        contents = transaction.rows(
            "SELECT content, max(day) FROM published JOIN device ON device.name = published.device"
            " WHERE content <> '' AND (:tenant = '' OR device.tenant = :tenant)"
            " GROUP BY content ORDER BY 2 DESC, 1 LIMIT 200",
            params,
        )
    return {
        "sites": [site for (site,) in sites if site],
        "devices": [name for (name,) in names],
        "contents": sorted(content for content, _ in contents),
    }
