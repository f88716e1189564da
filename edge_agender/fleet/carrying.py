"""Carries rollouts on: sends, notes answers, watches what was taken over, and goes on or takes all of it back.

Canaries first: one that refuses, does not answer or becomes worse (watching.py) ends the rollout. Once all of them that
are there have been well for the rollout's time, the rest follows, watched too: it ends where more than a twentieth of
those that took it over, and more than one, became worse. What ends so is taken back by a further revision.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agender.fleet.rollouts import desired_payload, stop
from edge_agender.fleet.store import Database, Transaction
from edge_agender.fleet.watching import is_slow, worse

_log = logging.getLogger(__name__)

CARRY = 3  # the number of this task among those that one collector does at a time
# A device that has said nothing of it is asked again, and given up as long as it is there and silent about it.
ASK_EVERY_S, ANSWER_S = 60.0, 600.0
AT_ONCE = 200
LEAST_SAMPLES = 2
# A sign is switched off for the night, a shop is closed over the weekend and a holiday: so long one that is away is
# waited for. It is not the configuration's doing: a process that dies of it starts again within seconds.
AWAY_S = 72 * 3600.0
WORSE_SHARE, WORSE_DEVICES = 0.05, 1
BY_ITSELF = "the fleet"

# Publishes, retained where the broker can; says whether it could.
Send = Callable[[str, bytes], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """A device in a rollout, with what it has said of itself since."""

    revision: int
    device: str
    soak_s: int
    sent_s: int | None
    applied_s: int | None
    boot_id: str | None
    before: Mapping[str, Any]
    health_s: int | None
    samples: int
    slow: int
    reported: Mapping[str, Any]
    reported_s: int
    now: Mapping[str, Any]
    now_s: int
    link: str | None
    seen_s: int

    def is_there(self, offline_after_s: float, now_s: float) -> bool:
        return self.link == "online" and now_s - self.seen_s <= offline_after_s


def carry(database: Database, prefix: str, send: Send, offline_after_s: float, now_s: float) -> None:
    """Do what is due of all rollouts. `now_s`: UTC seconds."""
    with database.writing() as transaction:
        if not transaction.alone(CARRY):
            return
        for row in _rows(transaction, "desired.state = 'sent'"):
            _note_answer(transaction, row, offline_after_s, now_s)
        # Of those that are watched, who has said something new, and who has been away for too long.
        news = "coalesce(device.health_s, 0) <> coalesce(desired.health_s, 0) OR last_seen_s < :seen_s"
        watched = f"desired.state = 'applied' AND ({news})"
        for row in _rows(transaction, watched, {"seen_s": int(now_s - AWAY_S)}):
            _watch(transaction, row, offline_after_s, now_s)
        _decide(transaction, offline_after_s, now_s)
        # In the same transaction, so that no other collector sends anything between these.
        _send_due(transaction, prefix, send, offline_after_s, now_s)


# -- sending


def _send_due(transaction: Transaction, prefix: str, send: Send, offline_after_s: float, now_s: float) -> None:
    held: dict[int, bool] = {}
    for revision, device, configuration, state in _due(transaction, offline_after_s, now_s):
        if revision not in held:
            held[revision] = _hold(transaction, revision)
        if not held[revision]:
            continue
        if not send(f"{prefix}/{device}/desired", desired_payload(revision, json.loads(configuration))):
            break
        _note_sent(transaction, revision, device, state == "waiting", int(now_s))


def _due(transaction: Transaction, offline_after_s: float, now_s: float) -> list[tuple[int, str, str, str]]:
    sql = (
        "SELECT desired.revision, device, desired.configuration, desired.state FROM desired"
        " JOIN rollout ON rollout.revision = desired.revision JOIN device ON device.name = desired.device"
        " WHERE rollout.state <> 'stopped' AND ((desired.state = 'waiting'"
        "   AND (rollout.state IN ('everywhere', 'returning') OR (rollout.state = 'canary' AND canary = 1)))"
        " OR (desired.state = 'sent' AND asked_s <= :asked_s AND device.state = 'online' AND last_seen_s >= :seen_s))"
        " ORDER BY desired.revision, device LIMIT :most"
    )
    params = {"asked_s": int(now_s - ASK_EVERY_S), "seen_s": int(now_s - offline_after_s), "most": AT_ONCE}
    return [(int(number), str(name), text, str(state)) for number, name, text, state in transaction.rows(sql, params)]


def _hold(transaction: Transaction, revision: int) -> bool:
    """Keep a rollout from being taken back until this transaction has ended; False where it was meanwhile."""
    return bool(
        transaction.run(
            "UPDATE rollout SET state = state WHERE revision = :revision AND state <> 'stopped'", {"revision": revision}
        )
    )


def _note_sent(transaction: Transaction, revision: int, device: str, first: bool, now_s: int) -> None:
    params = {"revision": revision, "device": device, "now_s": now_s}
    where = "WHERE revision = :revision AND device = :device"
    transaction.run(f"UPDATE desired SET asked_s = :now_s {where}", params)
    if first:
        health = "(SELECT health FROM device WHERE name = :device)"
        transaction.run(
            f"UPDATE desired SET state = 'sent', sent_s = :now_s, before = {health} {where} AND state = 'waiting'",
            params,
        )
        transaction.run(
            "UPDATE desired SET state = 'superseded' WHERE device = :device AND revision < :revision"
            " AND state IN ('sent', 'applied')",
            params,
        )


# -- what devices say


def _rows(transaction: Transaction, where: str, params: Mapping[str, Any] | None = None) -> list[Row]:
    found = transaction.rows(
        "SELECT desired.revision, device, soak_s, sent_s, applied_s, boot_id, before, desired.health_s, samples, slow,"
        " reported, coalesce(reported_s, 0), health, coalesce(device.health_s, 0), device.state,"
        " coalesce(last_seen_s, 0) FROM desired JOIN device ON device.name = desired.device"
        " JOIN rollout ON rollout.revision = desired.revision"
        f" WHERE {where} ORDER BY desired.revision, device",
        params,
    )
    return [_row(values) for values in found]


def _row(values: tuple[Any, ...]) -> Row:
    """The columns are in the order of the fields; messages are JSON there, nothing where none has come."""
    fields = list(values)
    for place in (6, 10, 12):
        fields[place] = json.loads(fields[place]) if fields[place] else {}
    return Row(*fields)


def _set(transaction: Transaction, row: Row, **values: Any) -> None:
    sets = ", ".join(f"{name} = :{name}" for name in values)
    params = {**values, "of_revision": row.revision, "of_device": row.device}
    transaction.run(f"UPDATE desired SET {sets} WHERE revision = :of_revision AND device = :of_device", params)


def _note_answer(transaction: Transaction, row: Row, offline_after_s: float, now_s: float) -> None:
    said = row.reported
    if said.get("applied_revision") == row.revision:
        state = "applied" if row.soak_s else "well"
        _set(transaction, row, state=state, applied_s=int(now_s), boot_id=said["boot_id"])
    elif said.get("state") == "off" and row.reported_s >= (row.sent_s or 0):
        _set(transaction, row, state="refused", reason="it takes no configuration from afar any more")
    elif said.get("desired_revision") == row.revision:
        _set(transaction, row, state="refused", reason="; ".join(said["reasons"])[:500])
    elif row.is_there(offline_after_s, now_s) and now_s - (row.sent_s or 0) > ANSWER_S:
        _set(transaction, row, state="refused", reason=f"it has not answered for {ANSWER_S / 60:.0f} minutes")


def _watch(transaction: Transaction, row: Row, offline_after_s: float, now_s: float) -> None:
    applied_s = row.applied_s or 0
    if row.reported.get("applied_revision") != row.revision:
        reason = "; ".join(row.reported.get("reasons", ())) or "it does not have the configuration any more"
        _set(transaction, row, state="worse", reason=reason[:500])
    elif row.now_s <= applied_s or row.now_s == row.health_s:
        if now_s - max(row.seen_s, applied_s) > AWAY_S:
            _set(transaction, row, state="worse", reason=f"nothing was heard of it for {AWAY_S / 3600:.0f} hours")
    elif silent_s := _switched_off_s(row, offline_after_s):
        _set(
            transaction, row, boot_id=row.now["boot_id"], applied_s=applied_s + silent_s, health_s=row.now_s, samples=0
        )
    else:
        _judge(transaction, row, now_s)


def _switched_off_s(row: Row, offline_after_s: float) -> int:
    """Return for how long it was off: another process after such a silence, as of a sign in the morning; else 0.

    That time is not watched. What was before it counts, or a sign that is on for less than `soak_s` a day never ends.
    """
    silent_s = row.now_s - max(row.health_s or 0, row.applied_s or 0)
    return silent_s if row.now.get("boot_id") != row.boot_id and silent_s > offline_after_s else 0


def _judge(transaction: Transaction, row: Row, now_s: float) -> None:
    samples, slow = row.samples + 1, row.slow + 1 if is_slow(row.before, row.now) else 0
    reason = worse(row.before, row.now, row.boot_id or "", slow)
    well = now_s - (row.applied_s or 0) >= row.soak_s and samples >= LEAST_SAMPLES
    state = "worse" if reason else "well" if well else "applied"
    _set(transaction, row, state=state, reason=reason, samples=samples, slow=slow, health_s=row.now_s)


# -- going on, or back


@dataclass(frozen=True, slots=True)
class Group:
    """How many devices of a rollout are in one state. `sent_s`: when the last of them was sent it."""

    state: str
    canary: bool
    there: bool
    number: int
    sent_s: int


def _decide(transaction: Transaction, offline_after_s: float, now_s: float) -> None:
    found = transaction.rows(
        "SELECT revision, state, soak_s FROM rollout WHERE state IN ('canary', 'everywhere', 'returning')"
    )
    for revision, state, soak_s in found:
        groups = _groups(transaction, int(revision), int(now_s - offline_after_s))
        if state != "returning" and (bad := _bad(groups)):
            reason = _reason(transaction, int(revision), bad)
            back = stop(transaction, int(revision), BY_ITSELF, reason, now_s)
            _log.warning("rollout %d is taken back (revision %d): %s", revision, back, reason)
        elif state == "canary" and _canaries_are_well(groups, now_s - int(soak_s)):
            _go_on(transaction, int(revision), "everywhere", None)
        elif state != "canary" and _is_done(groups):
            _go_on(transaction, int(revision), "done", int(now_s))


def _groups(transaction: Transaction, revision: int, seen_s: int) -> list[Group]:
    there = "CASE WHEN device.state = 'online' AND last_seen_s >= :seen_s THEN 1 ELSE 0 END"
    rows = transaction.rows(
        f"SELECT desired.state, canary, {there}, count(*), coalesce(max(sent_s), 0) FROM desired"
        " JOIN device ON device.name = desired.device WHERE revision = :revision GROUP BY 1, 2, 3",
        {"revision": revision, "seen_s": seen_s},
    )
    return [Group(str(state), bool(canary), bool(is_there), int(n), int(s)) for state, canary, is_there, n, s in rows]


def _go_on(transaction: Transaction, revision: int, state: str, ended_s: int | None) -> None:
    params = {"revision": revision, "state": state, "ended_s": ended_s}
    transaction.run("UPDATE rollout SET state = :state, ended_s = :ended_s WHERE revision = :revision", params)
    _log.info("rollout %d: %s", revision, state)


def _bad(groups: list[Group]) -> int:
    """Return how many devices speak for taking all back; 0: not enough of them."""
    canaries = sum(group.number for group in groups if group.canary and group.state in ("worse", "refused"))
    tried = sum(group.number for group in groups if group.state in ("applied", "well", "worse"))
    became_worse = sum(group.number for group in groups if group.state == "worse")
    return max(canaries, became_worse if became_worse > max(WORSE_DEVICES, WORSE_SHARE * tried) else 0)


def _reason(transaction: Transaction, revision: int, bad: int) -> str:
    device, text = transaction.rows(
        "SELECT device, reason FROM desired WHERE revision = :revision AND state IN ('worse', 'refused')"
        " ORDER BY canary DESC, state DESC, device LIMIT 1",
        {"revision": revision},
    )[0]
    return f"{device}: {text}" + (f" (and {bad - 1} more)" if bad > 1 else "")


def _canaries_are_well(groups: list[Group], soaked_s: float) -> bool:
    """One at least is; one that has gone away before it took anything over holds up the others no longer than that."""
    canaries = [group for group in groups if group.canary]
    gone = [group for group in canaries if group.state == "sent" and not group.there and group.sent_s < soaked_s]
    well = [group for group in canaries if group.state == "well"]
    return bool(well) and len(well) + len(gone) == len(canaries)


def _is_done(groups: list[Group]) -> bool:
    """Nobody is to be sent anything, is being watched, or owes an answer; who is away takes it over when it comes."""
    return not [
        group for group in groups if group.state in ("waiting", "applied") or (group.state == "sent" and group.there)
    ]
