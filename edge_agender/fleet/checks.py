"""What needs a person: devices that are away, clocks that are off, cameras in the dark, rates unlike their own past."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from edge_agender.fleet.overview import devices
from edge_agender.fleet.store import Database

DAY_S = 86400
# Mean luma below which ages and genders are guesses (docs/messages.md); covered lenses are below 12.
DARK, COVERED = 40.0, 12.0
# The last day beside the mean of the four weeks before: outside these, somebody should look.
FEWER, MORE = 0.4, 2.5
LEAST_DAYS, LEAST_VIEWERS = 5, 50


@dataclass(frozen=True, slots=True)
class Finding:
    device: str
    text: str


def check(database: Database, tenant: str, offline_after_s: float, now_s: float) -> list[Finding]:
    """Return what is not as it should be, device by device."""
    found: list[Finding] = []
    known = [one for one in devices(database, tenant, offline_after_s, now_s) if not one["revoked"]]
    for one in known:
        found += [Finding(one["name"], text) for text in _of_device(one)]
    found += _of_versions(known)
    names = {one["name"] for one in known}
    found += [finding for finding in _of_pictures(database, now_s) if finding.device in names]
    found += [finding for finding in _of_rates(database, now_s) if finding.device in names]
    return sorted(found, key=lambda finding: (finding.device, finding.text))


def _of_device(one: dict[str, Any]) -> list[str]:
    texts = list(one["alarms"])
    if one["condition"] in ("offline", "silent"):
        texts.append(f"is {one['condition']}")
    if one["health"]["clock_synchronised"] is False:
        texts.append("its clock is not set from the network")
    if one["refuses"]:
        texts.append(f"refuses its configuration: {one['refuses'][0]}")
    if one["missing"]:
        texts.append(f"{one['missing']} messages are missing and asked for")
    if one["lost"]:
        texts.append(f"{one['lost']} messages are lost")
    return texts


def _of_versions(known: list[dict[str, Any]]) -> list[Finding]:
    """Devices whose software is not what most run."""
    usual = Counter(one["software"] for one in known if one["software"]).most_common(1)
    return [
        Finding(one["name"], f"runs {one['software']}, most run {usual[0][0]}")
        for one in known
        if usual and one["software"] not in (None, usual[0][0])
    ]


def _of_pictures(database: Database, now_s: float) -> list[Finding]:
    """Light of the hours of the last day in which somebody is usually there."""
    query = (
        "SELECT device, sum(light_s) / sum(covered_s) FROM hour WHERE content = '' AND light_s IS NOT NULL"
        " AND hour_s >= :since_s GROUP BY device HAVING sum(covered_s) > 3600"
    )
    with database.reading() as transaction:
        rows = transaction.rows(query, {"since_s": int(now_s - DAY_S)})
    return [
        Finding(device, "its camera is covered, or the lamps are off" if light < COVERED else "its pictures are dark")
        for device, light in rows
        if light < DARK
    ]


def _of_rates(database: Database, now_s: float) -> list[Finding]:
    """Viewers an hour watched: the last day beside the four weeks before it."""
    query = (
        "SELECT device, hour_s >= :day_s AS late, sum(viewers), sum(covered_s), count(DISTINCT hour_s / 86400)"
        " FROM hour WHERE content = '' AND hour_s >= :since_s GROUP BY device, hour_s >= :day_s"
    )
    with database.reading() as transaction:
        rows = transaction.rows(query, {"day_s": int(now_s - DAY_S), "since_s": int(now_s - 29 * DAY_S)})
    rates = {
        (device, bool(late)): (float(viewers), float(covered), days) for device, late, viewers, covered, days in rows
    }
    found = []
    for (device, late), (viewers, covered, _) in rates.items():
        past = rates.get((device, False))
        if not late or past is None or past[2] < LEAST_DAYS or past[0] < LEAST_VIEWERS or not covered or not past[1]:
            continue
        ratio = (viewers / covered) / (past[0] / past[1])
        if not FEWER <= ratio <= MORE:
            found.append(Finding(device, f"counts {ratio:.1f} times its usual viewers an hour"))
    return found


def as_json(findings: list[Finding]) -> str:
    return "\n".join(json.dumps({"device": one.device, "finding": one.text}, ensure_ascii=False) for one in findings)
