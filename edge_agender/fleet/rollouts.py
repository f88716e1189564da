"""What a fleet wants of its devices' configuration: rollouts, begun and taken back by operators.

A rollout has one revision for all its devices, and a configuration for each: what it had, with the changes. Devices are
tried in two steps, canaries and the rest; carrying.py does that. One that is taken back is a rollout too: a higher
revision, with what each device had before.

States of a rollout: canary, everywhere, done; stopped, once it was taken back; returning, then done, of what takes it
back. States of a device in it: waiting, sent, applied, well (soaked), refused, worse; superseded by a later revision
that was sent to it, or skipped, where it was taken back before.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agender.config.remote import check_names, check_without_device, flat, nested
from edge_agender.errors import UsageError
from edge_agender.fleet.store import Database, Transaction
from edge_agender.messages.inbound import MAX_DESIRED_BYTES, MAX_REVISION

UNDER_WAY = ("canary", "everywhere", "returning")
# A device in one of these has the configuration of that rollout, or will as soon as it reads it.
HAS = ("sent", "applied", "well", "worse")
SENT = (*HAS, "refused")
# One device that says it has the last revision there can be would leave none to the whole fleet.
MOST_BELIEVED = MAX_REVISION // 2


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose devices: a tenant's ('' for all), a site's, or these."""

    tenant: str = ""
    site: str | None = None
    devices: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        parts = [f"tenant {self.tenant}"] if self.tenant else []
        parts += [f"site {self.site}"] if self.site is not None else []
        parts += [", ".join(self.devices)] if self.devices else []
        return "; ".join(parts) or "all devices"


@dataclass(frozen=True, slots=True)
class Changes:
    """Options to set and to leave to the device again, by name; `whole`: all others are left to the device too."""

    options: Mapping[str, Any] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    whole: bool = False

    def of(self, former: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration of a device that had `former`."""
        kept = {} if self.whole else {name: value for name, value in flat(former) if name not in self.unset}
        return nested({**kept, **self.options})

    @property
    def words(self) -> str:
        parts = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in self.options.items()]
        parts += [f"{name} unset" for name in self.unset]
        if self.whole:
            parts = ["only", *parts] if parts else ["the devices' own files alone"]
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Begun:
    """`without`: devices of the scope that take no configuration from afar."""

    revision: int
    devices: tuple[str, ...]
    canaries: tuple[str, ...]
    without: tuple[str, ...]


def begin(
    database: Database,
    scope: Scope,
    changes: Changes,
    *,
    canary_percent: float,
    soak_s: float,
    offline_after_s: float,
    by: str,
    now_s: float,
) -> Begun:
    """Begin a rollout; raises UsageError and ConfigError, with nothing begun, for one that cannot be."""
    if not (changes.options or changes.unset or changes.whole):
        raise UsageError("nothing to change: name options to set, or to leave to the devices")
    check_names([*(name for name, _ in flat(changes.options)), *changes.unset])
    with database.writing() as transaction:
        known = _in_scope(transaction, scope)
        targets = {
            name: reported for name, (reported, _, _) in known.items() if reported and reported["state"] != "off"
        }
        if not targets:
            raise UsageError(
                f"{scope.words}: no device there takes a configuration from afar (fleet.remote_config on the device)"
            )
        _raise_if_busy(transaction, sorted(targets))
        applied = {name: int(targets[name]["applied_revision"] or 0) for name in sorted(targets)}
        former = current(transaction, applied)
        wanted = {name: changes.of(former.get(name, {})) for name in applied}
        revision = _next_revision(transaction)
        _raise_if_unusable(revision, wanted)
        there = {name for name in targets if _is_online(*known[name][1:], offline_after_s, now_s)}
        canaries = choose(sorted(targets), there, canary_percent, revision)
        state = "canary" if len(canaries) < len(targets) else "everywhere"
        _insert(transaction, revision, scope.tenant, scope.words, changes.words, soak_s, state, by, now_s)
        _insert_devices(transaction, revision, wanted, former, canaries)
    return Begun(revision, tuple(sorted(targets)), canaries, tuple(sorted(known.keys() - targets.keys())))


def choose(names: Sequence[str], there: set[str], percent: float, revision: int) -> tuple[str, ...]:
    """Return the canaries: the same for the same revision, others for another; who is there comes first."""
    if not 0 < percent <= 100:
        raise UsageError("--canary: a share above 0 and up to 100 %, such as 5%")
    order = sorted(names, key=lambda name: (name not in there, hashlib.sha256(f"{revision} {name}".encode()).digest()))
    return tuple(sorted(order[: math.ceil(len(names) * percent / 100)]))


def take_back(database: Database, revision: int | None, tenant: str, by: str, reason: str, now_s: float) -> int:
    """Take a rollout back, the latest if none is named; return the revision that does. Raises UsageError."""
    with database.writing() as transaction:
        found = transaction.rows(
            "SELECT revision, tenant, state FROM rollout WHERE back_to IS NULL AND (:tenant = '' OR tenant = :tenant)"
            " ORDER BY revision DESC",
            {"tenant": tenant},
        )
        states = {int(number): str(state) for number, _, state in found}
        if revision is None:
            revision = next((number for number, state in states.items() if state != "stopped"), None)
        if revision is None or revision not in states:
            raise UsageError("no such rollout: edge-agender fleet config status lists them")
        if states[revision] == "stopped":
            raise UsageError(f"rollout {revision} was taken back already")
        later = transaction.rows(
            "SELECT max(later.revision) FROM desired JOIN desired AS later ON later.device = desired.device"
            " JOIN rollout ON rollout.revision = later.revision WHERE desired.revision = :revision"
            " AND later.revision > :revision AND back_to IS NULL AND rollout.state <> 'stopped'",
            {"revision": revision},
        )[0][0]
        if later is not None:
            raise UsageError(f"rollout {later} has changed some of the same devices since: take that back first")
        return stop(transaction, revision, by, reason, now_s)


def stop(transaction: Transaction, revision: int, by: str, reason: str, now_s: float) -> int:
    """End a rollout, and begin the one that gives each device what it had; return that one's revision."""
    params = {"revision": revision, "reason": reason[:500], "now_s": int(now_s)}
    tenant, scope = transaction.rows("SELECT tenant, scope FROM rollout WHERE revision = :revision", params)[0]
    # The rollout first: whoever is sending it (carrying.py) holds it, and what was sent is known after that.
    transaction.run(
        "UPDATE rollout SET state = 'stopped', reason = :reason, ended_s = :now_s WHERE revision = :revision", params
    )
    transaction.run("UPDATE desired SET state = 'skipped' WHERE revision = :revision AND state = 'waiting'", params)
    rows = transaction.rows(
        "SELECT device, state, configuration, former FROM desired WHERE revision = :revision", params
    )
    back = _next_revision(transaction)
    _insert(transaction, back, tenant, scope, f"back from {revision}", 0, "returning", by, now_s, back_to=revision)
    sent = [(device, json.loads(had), json.loads(former)) for device, state, had, former in rows if state in SENT]
    _insert_devices(
        transaction,
        back,
        {device: former for device, _, former in sent},
        {device: had for device, had, _ in sent},
        [device for device, _, _ in sent],
    )
    return back


def current(transaction: Transaction, applied: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return by device the configuration that it has, or will have once it reads it, where it was sent any.

    `applied`: the revision that each device says is in force, which it may have taken over after it was given up here.
    """
    marks = ", ".join(f"'{state}'" for state in HAS)
    found: dict[str, dict[str, Any]] = {}
    sql = (
        f"SELECT configuration FROM desired WHERE device = :device AND (state IN ({marks}) OR revision = :applied)"
        " ORDER BY revision DESC LIMIT 1"
    )
    for name, revision in applied.items():
        if rows := transaction.rows(sql, {"device": name, "applied": revision}):
            found[name] = json.loads(rows[0][0])
    return found


def desired_payload(revision: int, configuration: Mapping[str, Any]) -> bytes:
    """Return the message that a device reads as its desired configuration."""
    return json.dumps({"revision": revision, "configuration": configuration}, ensure_ascii=False).encode()


def _raise_if_unusable(revision: int, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    for device, configuration in {
        json.dumps(each, sort_keys=True): (name, each) for name, each in wanted.items()
    }.values():
        check_without_device(configuration)
        size = len(desired_payload(revision, configuration))
        if size > MAX_DESIRED_BYTES:
            raise UsageError(
                f"{device}: its configuration would have {size} bytes: at most {MAX_DESIRED_BYTES} are read"
            )


def _in_scope(
    transaction: Transaction, scope: Scope
) -> dict[str, tuple[dict[str, Any] | None, str | None, int | None]]:
    """Return by name what each device of a scope reported last, its state, and when it was heard last."""
    rows = transaction.rows(
        "SELECT name, reported, state, last_seen_s, site FROM device WHERE revoked_s IS NULL"
        " AND (:tenant = '' OR tenant = :tenant)",
        {"tenant": scope.tenant},
    )
    known = {
        str(name): (json.loads(reported) if reported else None, state, last_seen_s)
        for name, reported, state, last_seen_s, site in rows
        if scope.site in (None, site) and (not scope.devices or name in scope.devices)
    }
    if missing := set(scope.devices) - known.keys():
        raise UsageError(f"{min(missing)!r}: no such device; edge-agender fleet devices lists them")
    return known


def _is_online(state: str | None, last_seen_s: int | None, offline_after_s: float, now_s: float) -> bool:
    return state == "online" and last_seen_s is not None and now_s - last_seen_s <= offline_after_s


def _raise_if_busy(transaction: Transaction, names: Sequence[str]) -> None:
    marks = ", ".join(f"'{state}'" for state in UNDER_WAY)
    rows = transaction.rows(
        "SELECT device, desired.revision FROM desired JOIN rollout ON rollout.revision = desired.revision"
        f" WHERE rollout.state IN ({marks})"
    )
    for device, revision in rows:
        if device in names:
            raise UsageError(f"rollout {revision} is under way on {device}: wait for its end, or take it back")


def _next_revision(transaction: Transaction) -> int:
    """Higher than any that a device knows: a fleet that lost its store goes on above what its devices have."""
    highest = int(transaction.rows("SELECT coalesce(max(revision), 0) FROM rollout")[0][0])
    for (text,) in transaction.rows("SELECT reported FROM device WHERE reported IS NOT NULL"):
        said = json.loads(text)
        numbers = [said.get("applied_revision") or 0, said.get("desired_revision") or 0]
        highest = max([highest, *(number for number in numbers if number <= MOST_BELIEVED)])
    return highest + 1


def _insert(
    transaction: Transaction,
    revision: int,
    tenant: str,
    scope: str,
    changes: str,
    soak_s: float,
    state: str,
    by: str,
    now_s: float,
    back_to: int | None = None,
) -> None:
    transaction.run(
        "INSERT INTO rollout (revision, tenant, scope, changes, soak_s, state, made_by, made_s, back_to)"
        " VALUES (:revision, :tenant, :scope, :changes, :soak_s, :state, :by, :now_s, :back_to)",
        {
            **{"revision": revision, "tenant": tenant, "scope": scope, "changes": changes, "soak_s": int(soak_s)},
            **{"state": state, "by": by, "now_s": int(now_s), "back_to": back_to},
        },
    )


def _insert_devices(
    transaction: Transaction,
    revision: int,
    wanted: Mapping[str, Mapping[str, Any]],
    former: Mapping[str, Mapping[str, Any]],
    canaries: Sequence[str],
) -> None:
    transaction.many(
        "INSERT INTO desired (revision, device, canary, configuration, former, state)"
        " VALUES (:revision, :device, :canary, :configuration, :former, 'waiting')",
        [
            {
                **{"revision": revision, "device": device, "canary": int(device in canaries)},
                **{"configuration": json.dumps(each), "former": json.dumps(former.get(device, {}))},
            }
            for device, each in wanted.items()
        ],
    )
