"""What the verbs of `edge-agender fleet` do."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from edge_agender.commands.fleet.configuring import run_config
from edge_agender.commands.fleet.target import load, opened
from edge_agender.errors import UsageError
from edge_agender.fleet.enrolment import enrol as enrol_device
from edge_agender.fleet.enrolment import nats_user
from edge_agender.fleet.enrolment import revoke as revoke_device


def serve(options: argparse.Namespace) -> int:
    from edge_agender.common.logs import configure_logging
    from edge_agender.common.signals import StopSignal
    from edge_agender.fleet.serving import Fleet

    config = load(options)
    configure_logging(config.log_level)
    stop = StopSignal()
    with Fleet(config) as fleet:
        page = f"; page http://{config.page.host}:{fleet.page_port}/" if config.page.enabled else ""
        print(f"collecting from {fleet.where}; store {config.store_url}{page}", flush=True)
        stop.wait()
    return 0


def unit(_options: argparse.Namespace) -> int:
    from edge_agender.device.paths import bundled_fleet_unit

    print(bundled_fleet_unit().read_text(encoding="utf-8"), end="")
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
    print(f"On {options.name}:\n\n  sudo edge-agender setup --yes --enrol {text}\n")
    if config.broker == "nats":
        print(f"Enter this user at your nodes (deploy/nats/users.conf):\n{nats_user(token)}")
    elif config.broker != "own":
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


def check(options: argparse.Namespace) -> int:
    from edge_agender.fleet import checks

    with opened(options) as (config, database):
        found = checks.check(database, "", config.offline_after_s, time.time())
    if options.json:
        print(checks.as_json(found))
    else:
        for finding in found:
            print(f"{finding.device}: {finding.text}")
        print(f"{len(found)} findings" if found else "nothing needs a person")
    return int(bool(found))


def config(options: argparse.Namespace) -> int:
    return run_config(options)


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


def user(options: argparse.Namespace) -> int:
    from edge_agender.fleet.accounts import put_account, remove_account

    with opened(options) as (_, database):
        if options.remove:
            remove_account(database, options.name)
            print(f"{options.name}: removed")
            return 0
        password = _password(options.password_file)
        put_account(database, options.name, password, options.role, options.tenant, time.time())
    print(f"{options.name}: {options.role} of {options.tenant or 'all tenants'}")
    return 0


def _password(file: str | None) -> str:
    if file is None and sys.stdin.isatty():
        return getpass.getpass("password: ")
    try:
        text = sys.stdin.readline() if file in (None, "-") else Path(str(file)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {error}") from None
    return text.splitlines()[0].strip() if text.strip() else ""


def export(options: argparse.Namespace) -> int:
    """Write published figures to a file whose ending says the format."""
    from edge_agender.fleet import export as files
    from edge_agender.fleet import query

    writers = {".csv": files.as_csv, ".parquet": files.as_parquet}
    writer = writers.get(options.file.suffix)
    if writer is None:
        raise UsageError(f"{options.file}: name it .csv or .parquet")
    with opened(options) as (config, database):
        rules = config.publish.rules()
        first = options.first or options.last or rules.day_of(time.time() - 86400)
        names = ("tenant", "site", "device", "content", "gender", "age_band")
        chosen = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
        filters = query.Filters(first, options.last or first, **chosen)
        people = options.what == "people"
        known = get_args(query.PeopleBy if people else query.AudienceBy)
        if unknown := [name for name in options.by if name not in known]:
            raise UsageError(f"--by {unknown[0]}: one of {', '.join(known)}")
        rows = (
            query.people(database, rules, filters, options.by)
            if people
            else query.audience(database, filters, options.by)
        )
    columns = [*options.by, *(query.PEOPLE_COLUMNS if people else query.AUDIENCE_COLUMNS)]
    options.file.write_bytes(writer(rows, columns))
    print(f"{options.file}: {len(rows)} rows")
    return 0
