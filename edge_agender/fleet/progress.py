"""How far rollouts are, for page and command line: of a tenant's own devices alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edge_agender.fleet.store import Database


def rollouts(database: Database, tenant: str, most: int = 20) -> list[dict[str, Any]]:
    """Return the latest rollouts over devices of a tenant ('' for all), newest first, with counts of its devices."""
    names = (
        "revision",
        "tenant",
        "scope",
        "changes",
        "soak_s",
        "state",
        "reason",
        "made_by",
        "made_s",
        "ended_s",
        "back_to",
    )
    params = {"tenant": tenant, "most": most}
    with database.reading() as transaction:
        rows = transaction.rows(
            f"SELECT {', '.join(names)} FROM rollout WHERE :tenant = '' OR tenant = :tenant OR EXISTS"
            " (SELECT 1 FROM desired JOIN device ON device.name = desired.device"
            "  WHERE desired.revision = rollout.revision AND device.tenant = :tenant)"
            " ORDER BY revision DESC LIMIT :most",
            params,
        )
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for one in found:
            one["own"] = tenant in ("", one.pop("tenant"))
            if not one["own"]:
                one["scope"] = "all tenants"  # it may name devices of others
            counts = transaction.rows(
                "SELECT desired.state, canary, count(*) FROM desired JOIN device ON device.name = desired.device"
                " WHERE revision = :revision AND (:tenant = '' OR device.tenant = :tenant) GROUP BY 1, 2",
                params | {"revision": one["revision"]},
            )
            one["devices"] = dict(_sum((str(state), int(n)) for state, _, n in counts))
            one["canaries"] = sum(int(n) for _, canary, n in counts if canary)
    return found


def of_devices(database: Database, revision: int, tenant: str) -> list[dict[str, Any]]:
    """Return what became of each device of a rollout, those in trouble first. `link`: what its status says."""
    names = ("device", "canary", "state", "reason", "sent_s", "applied_s", "samples", "link")
    with database.reading() as transaction:
        rows = transaction.rows(
            f"SELECT {', '.join(f'desired.{name}' for name in names[:-1])}, device.state FROM desired JOIN device"
            " ON device.name = desired.device WHERE revision = :revision AND (:tenant = '' OR device.tenant = :tenant)",
            {"revision": revision, "tenant": tenant},
        )
    order = {"worse": 0, "refused": 1}
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return sorted(found, key=lambda one: (order.get(one["state"], 2), -one["canary"], one["device"]))


def _sum(pairs: Any) -> Counter[str]:
    total = Counter[str]()
    for name, number in pairs:
        total[name] += number
    return total
