"""Stores a batch of records in one transaction: each measurement once, gaps and contradictions shown.

A message is new if its sequence number has not come from that boot (sequences.py), whatever was deleted since. A
process that is killed between two deliveries may deliver one measurement from two boots: equal (device, kind, start,
number) with equal content is a copy as well; with other content it is a contradiction, and the first to come stays.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agender.fleet.intake import epoch_s
from edge_agender.fleet.kinds import KEY, KINDS, columns_of, key_of
from edge_agender.fleet.records import Durable, Record, Refused, State
from edge_agender.fleet.sequences import Sequences
from edge_agender.fleet.store import Database, Transaction

HOUR_S = 3600
_MESSAGE = ("device", "kind", "boot_id", "sequence", "start_s", "number", "digest", "historical", "received_s", "raw")
# Of a topic that floods nonsense, so much is kept; the rest is counted.
MOST_REFUSED = 10_000
MOST_CONFLICTS = 10_000


@dataclass(slots=True)
class Outcome:
    """What became of a batch. `stored` is by kind; `hours` were marked for the roll-up."""

    stored: Counter[str] = field(default_factory=Counter)
    copies: int = 0
    conflicts: int = 0
    refused: int = 0
    states: int = 0
    gaps_opened: int = 0
    hours: int = 0

    def add(self, other: Outcome) -> None:
        self.stored += other.stored
        for name in ("copies", "conflicts", "refused", "states", "gaps_opened", "hours"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def keep(database: Database, records: Sequence[Record], now_s: float) -> Outcome:
    """Store all of a batch, or nothing of it where this raises."""
    outcome = Outcome()
    durable = [record for record in records if isinstance(record, Durable)]
    states = [record for record in records if isinstance(record, State)]
    refused = [record for record in records if isinstance(record, Refused)]
    with database.writing() as transaction:
        # First of all and in one order, so that two collectors never wait for each other.
        transaction.lock_streams(sorted({*(one.stream for one in durable), *_streams_of(states)}), int(now_s))
        if durable:
            _keep_durable(transaction, durable, int(now_s), outcome)
        if states:
            _keep_states(transaction, states, int(now_s), outcome)
        if refused:
            _keep_refused(transaction, refused, outcome)
        _touch_devices(transaction, durable, states)
    return outcome


# -- what is counted


def _keep_durable(transaction: Transaction, records: Sequence[Durable], now_s: int, outcome: Outcome) -> None:
    streams = sorted({record.stream for record in records})
    transaction.ensure_days({record.start_s for record in records})
    ledgers = _load(transaction, streams, now_s)
    before = {stream: (ledger.last, list(ledger.gaps)) for stream, ledger in ledgers.items()}
    new: list[Durable] = []
    seen: list[Durable] = []
    for record in records:
        (new if ledgers[record.stream].accept(record.sequence) else seen).append(record)
    kept = _insert(transaction, new)
    outcome.stored.update(record.kind for record in kept)
    known = set(kept)
    again = [record for record in new if record not in known]
    _compare(transaction, again, ("start_s", "number"), "other content for the same start and number", outcome)
    _compare(transaction, seen, ("boot_id", "sequence"), "other content for the same boot and sequence number", outcome)
    _save(transaction, ledgers, before, now_s, outcome)
    _mark_dirty(transaction, kept, now_s, outcome)


def _load(
    transaction: Transaction, streams: Sequence[tuple[str, str, str]], now_s: int
) -> dict[tuple[str, str, str], Sequences]:
    last = transaction.lock_streams(streams, now_s)
    ledgers = {stream: Sequences(last[stream]) for stream in streams}
    sql = "SELECT first, last FROM gap WHERE device = :device AND kind = :kind AND boot_id = :boot_id ORDER BY first"
    for (device, kind, boot_id), ledger in ledgers.items():
        found = transaction.rows(sql, {"device": device, "kind": kind, "boot_id": boot_id})
        ledger.gaps = [(first, last) for first, last in found]
    return ledgers


def _save(
    transaction: Transaction,
    ledgers: dict[tuple[str, str, str], Sequences],
    before: dict[tuple[str, str, str], tuple[int, list[tuple[int, int]]]],
    now_s: int,
    outcome: Outcome,
) -> None:
    changed = [
        {"device": device, "kind": kind, "boot_id": boot_id, "last": ledger.last, "now_s": now_s}
        for (device, kind, boot_id), ledger in ledgers.items()
    ]
    transaction.many(
        "UPDATE stream SET last = :last, last_seen_s = :now_s"
        " WHERE device = :device AND kind = :kind AND boot_id = :boot_id",
        changed,
    )
    for stream, ledger in ledgers.items():
        outcome.gaps_opened += save_gaps(transaction, stream, before[stream][1], ledger.gaps, now_s)


def save_gaps(
    transaction: Transaction,
    stream: tuple[str, str, str],
    before: Sequence[tuple[int, int]],
    after: Sequence[tuple[int, int]],
    now_s: int,
) -> int:
    """Write what changed of a stream's gaps; return how many are new. What is left of a gap keeps when it was found."""
    key = {"device": stream[0], "kind": stream[1], "boot_id": stream[2]}
    where = "device = :device AND kind = :kind AND boot_id = :boot_id"
    gone = [gap for gap in before if gap not in after]
    came = [gap for gap in after if gap not in before]
    found = {
        gap: transaction.rows(
            f"DELETE FROM gap WHERE {where} AND first = :first RETURNING found_s, asked_s, asked, outcome",
            {**key, "first": gap[0]},
        )[0]
        for gap in gone
    }
    opened = 0
    for first, last in came:
        parent = next((found[gap] for gap in gone if gap[0] <= last and first <= gap[1]), None)
        opened += parent is None
        found_s, asked_s, asked, result = parent or (now_s, None, 0, None)
        transaction.run(
            "INSERT INTO gap (device, kind, boot_id, first, last, found_s, asked_s, asked, outcome)"
            " VALUES (:device, :kind, :boot_id, :first, :last, :found_s, :asked_s, :asked, :outcome)",
            {
                **{**key, "first": first, "last": last, "found_s": found_s},
                **{"asked_s": asked_s, "asked": asked, "outcome": result},
            },
        )
    return opened


def _insert(transaction: Transaction, records: Sequence[Durable]) -> list[Durable]:
    """Insert what was measured; return those whose (device, start, number) was not there."""
    kept: list[Durable] = []
    by_kind: dict[str, list[Durable]] = defaultdict(list)
    for record in records:
        by_kind[record.kind].append(record)
    for kind, of_kind in by_kind.items():
        table = KINDS[kind].table
        inserted = transaction.insert_new(table, columns_of(table), KEY, _first_of_each(of_kind, table))
        for record in of_kind:
            key = (record.device, record.start_s, record.number)
            if key in inserted:
                inserted.discard(key)  # of two in one batch, the first
                kept.append(record)
    rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for record in kept:
        for table, part in record.rows.items():
            if table != KINDS[record.kind].table:
                rows[table] += part
    for table, part in rows.items():
        transaction.insert_new(table, columns_of(table), key_of(table), part)
    values = [tuple(_whole(getattr(record, name)) for name in _MESSAGE) for record in kept]
    transaction.insert_new("message", _MESSAGE, _MESSAGE[:4], values)
    return kept


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float | bool) else value


def _first_of_each(records: Iterable[Durable], table: str) -> list[tuple[Any, ...]]:
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for record in records:
        rows.setdefault((record.device, record.start_s, record.number), record.rows[table][0])
    return list(rows.values())


def _compare(
    transaction: Transaction, records: Sequence[Durable], by: tuple[str, str], reason: str, outcome: Outcome
) -> None:
    """Tell copies from contradictions. Where the stored message was deleted by age, it is a copy."""
    if not records:
        return
    key = ("device", "kind", *by)
    keys = {record: tuple(getattr(record, name) for name in key) for record in records}
    known = transaction.lookup("message", key, ("digest",), dict.fromkeys(keys.values()))
    for record, one in keys.items():
        stored = known.get(one)
        if stored is None or stored[0] == record.digest:
            outcome.copies += 1
            continue
        outcome.conflicts += 1
        if transaction.rows("SELECT count(*) FROM conflict")[0][0] < MOST_CONFLICTS:
            transaction.run(
                "INSERT INTO conflict (device, kind, boot_id, sequence, start_s, number, reason, digest, kept_digest,"
                " received_s, raw) VALUES (:device, :kind, :boot_id, :sequence, :start_s, :number, :reason, :digest,"
                " :kept, :received_s, :raw)",
                {
                    **{name: getattr(record, name) for name in ("device", "kind", "boot_id", "sequence", "start_s")},
                    **{"number": record.number, "reason": reason, "digest": record.digest, "kept": stored[0]},
                    **{"received_s": int(record.received_s), "raw": record.raw},
                },
            )


def _mark_dirty(transaction: Transaction, records: Sequence[Durable], now_s: int, outcome: Outcome) -> None:
    """Mark hours, and hold a mark that is there: the roll-up waits until what is stored here can be seen."""
    hours = sorted({(record.device, record.start_s // HOUR_S * HOUR_S) for record in records})
    outcome.hours += len(hours)
    transaction.many(
        "INSERT INTO dirty (device, hour_s, since_s) VALUES (:device, :hour_s, :now_s)"
        " ON CONFLICT (device, hour_s) DO UPDATE SET since_s = dirty.since_s",
        [{"device": device, "hour_s": hour_s, "now_s": now_s} for device, hour_s in hours],
    )


# -- what devices say of themselves


def _keep_states(transaction: Transaction, states: Sequence[State], now_s: int, outcome: Outcome) -> None:
    outcome.states += len(states)
    _ensure_devices(transaction, {state.device for state in states}, now_s)
    for state in sorted(states, key=lambda state: state.device):
        values = _STATE_COLUMNS[state.kind](state)
        sets = ", ".join(f"{name} = :{name}" for name in values)
        transaction.run(f"UPDATE device SET {sets} WHERE name = :device", {**values, "device": state.device})
        if state.kind == "health":
            _expect_sequences(transaction, state, now_s, outcome)


def _streams_of(states: Sequence[State]) -> list[tuple[str, str, str]]:
    """What health says numbers of."""
    return [
        (state.device, kind, state.boot_id)
        for state in states
        if state.kind == "health"
        for kind in state.values.get("sequences", {})
        if kind in KINDS
    ]


def _expect_sequences(transaction: Transaction, state: State, now_s: int, outcome: Outcome) -> None:
    """A device says the last number it has given to each kind: what has not come of that is missing."""
    streams = _streams_of([state])
    if not streams:
        return
    for stream, ledger in _load(transaction, streams, now_s).items():
        before = list(ledger.gaps)
        ledger.expect(int(state.values["sequences"][stream[1]]))
        _save(transaction, {stream: ledger}, {stream: (ledger.last, before)}, now_s, outcome)


def _of_status(state: State) -> dict[str, Any]:
    return {"state": state.values["state"], "software": state.values["software"]}


def _of_health(state: State) -> dict[str, Any]:
    return {
        "health": state.raw,
        "health_s": int(state.received_s),
        "alarms": json.dumps(state.values["alarms"], ensure_ascii=False),
        "clock_off_s": round(epoch_s(state.values["sent"]) - state.received_s, 1),
    }


def _of_enabled(state: State) -> dict[str, Any]:
    return {"measuring": int(state.values["measuring"]), "reason": state.values["reason"]}


def _of_reported(state: State) -> dict[str, Any]:
    return {"reported": state.raw, "reported_s": int(state.received_s)}


_STATE_COLUMNS = {"status": _of_status, "health": _of_health, "enabled": _of_enabled, "reported": _of_reported}


def _ensure_devices(transaction: Transaction, names: set[str], now_s: int) -> None:
    rows = [(name, now_s, now_s) for name in sorted(names)]
    transaction.insert_new("device", ("name", "first_seen_s", "last_seen_s"), ("name",), rows)


def _touch_devices(transaction: Transaction, durable: Sequence[Durable], states: Sequence[State]) -> None:
    """Note when each device was heard last; a retained message was said before, nobody knows when."""
    seen: dict[str, dict[str, Any]] = {}
    heard: list[State | Durable] = [*(state for state in states if not state.retained), *durable]
    for record in heard:
        one = seen.setdefault(record.device, {"name": record.device, "software": None, "configuration": None, "s": 0})
        one["s"] = max(one["s"], int(record.received_s))
        if isinstance(record, Durable):
            one.update(software=record.software, configuration=record.configuration)
    if not seen:
        return
    _ensure_devices(transaction, set(seen), max(one["s"] for one in seen.values()))
    transaction.many(
        "UPDATE device SET last_seen_s = :s, first_seen_s = coalesce(first_seen_s, :s),"
        " software = coalesce(:software, software), configuration = coalesce(:configuration, configuration)"
        " WHERE name = :name",
        [seen[name] for name in sorted(seen)],
    )


# -- what cannot be used


def _keep_refused(transaction: Transaction, refused: Sequence[Refused], outcome: Outcome) -> None:
    outcome.refused += len(refused)
    if transaction.rows("SELECT count(*) FROM refused")[0][0] >= MOST_REFUSED:
        return
    transaction.many(
        "INSERT INTO refused (topic, reason, received_s, payload) VALUES (:topic, :reason, :received_s, :payload)",
        [
            {
                "topic": one.topic.replace("\x00", "\ufffd")[:300],
                "reason": one.reason,
                "received_s": int(one.received_s),
                "payload": one.payload[:65536],
            }
            for one in refused
        ],
    )
