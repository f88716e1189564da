"""`edge-agender fleet config`: what a fleet wants of its devices' configuration."""

from __future__ import annotations

import getpass
import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agender.commands.fleet.target import opened
from edge_agender.config.load import apply_overrides, read_file
from edge_agender.config.remote import flat
from edge_agender.errors import UsageError

if TYPE_CHECKING:
    from edge_agender.fleet.rollouts import Changes

DEFAULT_CANARY, DEFAULT_MINUTES = 5.0, 15.0


def add_config_actions(parser: ArgumentParser, add: Callable[[Any, str, str], ArgumentParser]) -> None:
    deeds = parser.add_subparsers(dest="deed", metavar="WHAT", required=True)
    begin = add(deeds, "set", "set options on devices, on a few of them first")
    begin.add_argument(
        "changes",
        nargs="*",
        metavar="OPTION=VALUE|FILE",
        help="such as window.length_s=300; a YAML file sets its options alone",
    )
    begin.add_argument(
        "--unset", action="append", default=[], metavar="OPTION", help="leave it to the devices' own files"
    )
    clear = add(deeds, "clear", "leave every option to the devices' own files again")
    for each in (begin, clear):
        _add_scope(each)
    status = add(deeds, "status", "rollouts, and how many devices took each over")
    status.add_argument("revision", nargs="?", type=int, metavar="ROLLOUT", help="what became of each of its devices")
    status.add_argument("--json", action="store_true", help="one JSON object a line")
    back = add(deeds, "rollback", "give each device of a rollout what it had before")
    back.add_argument("revision", nargs="?", type=int, metavar="ROLLOUT", help="default: the latest")
    for each in (begin, clear, status, back):
        each.add_argument("--tenant", default="", metavar="TENANT", help="its devices and rollouts alone; default: all")


def _add_scope(parser: ArgumentParser) -> None:
    parser.add_argument("--site", metavar="SITE", help="devices of this site alone")
    parser.add_argument("--device", action="append", default=[], metavar="NAME", help="this one alone; may be repeated")
    parser.add_argument(
        "--canary", type=_percent, default=DEFAULT_CANARY, metavar="SHARE", help="how many of them first; default: 5%%"
    )
    parser.add_argument(
        "--for",
        type=float,
        default=DEFAULT_MINUTES,
        dest="minutes",
        metavar="MINUTES",
        help="how long each device is watched before it counts as well; default: 15",
    )


def run_config(options: Namespace) -> int:
    return {"set": _set, "clear": _set, "status": _status, "rollback": _rollback}[options.deed](options)


def _set(options: Namespace) -> int:
    from edge_agender.fleet.rollouts import Changes, Scope, begin

    changes = Changes(whole=True) if options.deed == "clear" else _changes(options)
    if not 0 <= options.minutes <= 10_080:
        raise UsageError("--for: minutes, from 0 to 10080")
    scope = Scope(options.tenant, options.site, tuple(options.device))
    with opened(options) as (config, database):
        begun = begin(
            database,
            scope,
            changes,
            canary_percent=options.canary,
            soak_s=60 * options.minutes,
            offline_after_s=config.offline_after_s,
            by=getpass.getuser(),
            now_s=time.time(),
        )
    first = f", first {', '.join(begun.canaries[:5])}{' ...' if len(begun.canaries) > 5 else ''}"
    print(f"rollout {begun.revision}: {changes.words}: {len(begun.devices)} devices{first}")
    if begun.without:
        print(f"{len(begun.without)} devices there take nothing from afar: {', '.join(begun.without[:5])}")
    print("`fleet serve` carries it on; see edge-agender fleet config status")
    return 0


def _changes(options: Namespace) -> Changes:
    from edge_agender.fleet.rollouts import Changes

    assignments = [word for word in options.changes if "=" in word]
    files = [word for word in options.changes if "=" not in word]
    if len(files) > 1:
        raise UsageError("one file sets all options: give one")
    if not (options.changes or options.unset):
        raise UsageError("nothing to set: give OPTION=VALUE, such as window.length_s=300, or a file")
    wanted = apply_overrides(read_file(Path(files[0])) if files else {}, assignments)
    return Changes(dict(flat(wanted)), tuple(options.unset), whole=bool(files))


def _status(options: Namespace) -> int:
    from edge_agender.fleet import progress

    with opened(options) as (_, database):
        if options.revision is None:
            found = progress.rollouts(database, options.tenant)
        else:
            found = progress.of_devices(database, options.revision, options.tenant)
    if options.json:
        for one in found:
            print(json.dumps(one, ensure_ascii=False))
        return 0
    if not found:
        print("no rollout" if options.revision is None else f"rollout {options.revision}: no such rollout")
    for one in found:
        print(_rollout_line(one) if options.revision is None else _device_line(one))
    return 0


def _rollout_line(one: dict[str, Any]) -> str:
    counts = ", ".join(f"{number} {state}" for state, number in sorted(one["devices"].items()))
    reason = f" ({one['reason']})" if one["reason"] else ""
    made = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(one["made_s"]))
    parts = (
        one["revision"],
        f"{one['state']}{reason}",
        one["changes"],
        one["scope"],
        counts,
        f"by {one['made_by']} {made}",
    )
    return "  ".join(map(str, parts))


def _device_line(one: dict[str, Any]) -> str:
    canary = " canary" if one["canary"] else ""
    reason = f": {one['reason']}" if one["reason"] else ""
    away = "" if one["link"] == "online" else " (away)"
    return f"{one['device']}{canary}  {one['state']}{away}{reason}"


def _rollback(options: Namespace) -> int:
    from edge_agender.fleet.rollouts import take_back

    by = getpass.getuser()
    with opened(options) as (_, database):
        back = take_back(database, options.revision, options.tenant, by, f"by {by}", time.time())
    print(f"rollout {back} gives the devices what they had before")
    return 0


def _percent(text: str) -> float:
    """A share of devices: 5% or 5."""
    return float(text.removesuffix("%"))
