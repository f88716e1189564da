"""What the verbs of `edge-agender fleet` do."""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from edge_agender.commands.fleet.target import load, opened
from edge_agender.fleet.enrolment import enrol as enrol_device
from edge_agender.fleet.enrolment import revoke as revoke_device


def serve(options: argparse.Namespace) -> int:
    from edge_agender.common.logs import configure_logging
    from edge_agender.fleet.serving import Fleet

    config = load(options)
    configure_logging(config.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Fleet(config) as fleet:
        print(f"collecting from {fleet.where}; store {config.store_url}", flush=True)
        stop.wait()
    return 0


def enrol(options: argparse.Namespace) -> int:
    with opened(options) as (config, database):
        token = enrol_device(
            database, config, options.name, options.tenant, options.site, options.valid_days, time.time()
        )
    text = token.text()
    if options.out is not None:
        options.out.touch(mode=0o600)
        options.out.write_text(text + "\n")
        text = str(options.out)
    print(f"On {options.name}, as root:\n\n  edge-agender setup --yes --enrol {text}\n")
    if config.broker != "own":
        print("Enter this user at your broker, with the right to write below its own name:")
        print(f"  user {token.name}  password {token.password}")
    return 0


def revoke(options: argparse.Namespace) -> int:
    with opened(options) as (config, database):
        revoke_device(database, config, options.name, time.time())
    print(f"{options.name}: revoked" + ("" if config.broker == "own" else "; remove the user at your broker, too"))
    return 0


def devices(options: argparse.Namespace) -> int:
    sql = (
        "SELECT name, tenant, site, state, last_seen_s, software, alarms, revoked_s,"
        " (SELECT coalesce(sum(gap.last - gap.first + 1), 0) FROM gap WHERE gap.device = name)"
        " FROM device ORDER BY name"
    )
    names = ("device", "tenant", "site", "state", "last_seen_s", "software", "alarms", "revoked_s", "missing")
    return _print(options, names, sql)


def gaps(options: argparse.Namespace) -> int:
    names = ("device", "kind", "boot_id", "first", "last", "found_s", "asked", "outcome")
    return _print(options, names, f"SELECT {', '.join(names)} FROM gap ORDER BY found_s, device, first")


def _print(options: argparse.Namespace, names: Sequence[str], sql: str) -> int:
    with opened(options) as (_, database), database.reading() as transaction:
        found = [dict(zip(names, row, strict=True)) for row in transaction.rows(sql)]
    if options.json:
        for one in found:
            print(json.dumps(one, ensure_ascii=False))
        return 0
    table = [list(names), *([_cell(name, one) for name in names] for one in found)]
    widths = [max(len(row[place]) for row in table) for place in range(len(names))]
    for row in table:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _cell(name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    if value is None:
        return "-"
    if name.endswith("_s"):
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(value))
    return str(value)
