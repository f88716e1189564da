"""`edge-agender fleet`: collection, page and exports on a server."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from importlib import import_module
from pathlib import Path

from edge_agender.commands.fleet.configuring import add_config_actions
from edge_agender.commands.fleet.target import CONFIG_VARIABLE, SYSTEM_CONFIG
from edge_agender.commands.options import add_file_and_overrides


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "serve", "broker, collector and page in one process, until it is told to stop")
    _add_enrol(actions)
    revoke = _action(actions, "revoke", "end a device's credential; its data stays")
    revoke.add_argument("name", metavar="NAME")
    for name, text in {
        "devices": "every device: state, last message, version, gaps",
        "gaps": "what is missing, boot by boot, and what became of it",
        "check": "what needs a person: clocks, dark cameras, versions, unusual rates; exit code 1 on a finding",
    }.items():
        _action(actions, name, text).add_argument("--json", action="store_true", help="one JSON object a line")

    add_config_actions(
        actions.add_parser("config", help="set options on devices from afar, a few of them first; take them back"),
        _action,
    )
    _add_user(actions)
    _add_export(actions)
    actions.add_parser("unit", help="print the unit with which systemd runs `fleet serve`")


def run(options: Namespace) -> int:
    return int(getattr(import_module("edge_agender.commands.fleet.actions"), options.action.replace("-", "_"))(options))


def _action(actions: _SubParsersAction[ArgumentParser], name: str, text: str) -> ArgumentParser:
    parser = actions.add_parser(name, help=text)
    add_file_and_overrides(parser, CONFIG_VARIABLE, SYSTEM_CONFIG, what="OPTION", example="page.port=8090")
    return parser


def _add_enrol(actions: _SubParsersAction[ArgumentParser]) -> None:
    parser = _action(actions, "enrol", "let a device in: makes its credential, prints the command for the box")
    parser.add_argument("name", metavar="NAME", help="letters, digits, - and _")
    parser.add_argument("--site", default="", metavar="SITE", help="where it stands: sums are made by site")
    parser.add_argument("--tenant", default="default", metavar="TENANT", help="whose it is; default: default")
    parser.add_argument("--valid-days", type=float, metavar="DAYS", help="the credential ends then; default: never")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the token there in place of printing it")


def _add_user(actions: _SubParsersAction[ArgumentParser]) -> None:
    parser = _action(actions, "user", "make, change or remove a login of the page")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--role", choices=("viewer", "operator"), default="viewer", help="default: viewer")
    parser.add_argument("--tenant", default="", metavar="TENANT", help="sees this one alone; default: all")
    # Never the password itself: everybody on the machine can read command lines.
    parser.add_argument("--password-file", metavar="FILE", help="its first line; - or none: asks on the terminal")
    parser.add_argument("--remove", action="store_true", help="remove the login and end its sessions")


def _add_export(actions: _SubParsersAction[ArgumentParser]) -> None:
    parser = _action(actions, "export", "what the page shows, as a file: CSV or Parquet by its name")
    parser.add_argument("what", choices=("audience", "people"))
    parser.add_argument("file", type=Path, metavar="FILE", help="such as yesterday.csv or month.parquet")
    parser.add_argument("--by", action="append", default=[], metavar="COLUMN", help="hour, day, site, device, ...")
    parser.add_argument("--first", metavar="DAY", help="2026-01-31; default: yesterday")
    parser.add_argument("--last", metavar="DAY", help="default: the first day")
    for name in ("tenant", "site", "device", "content", "gender", "age-band"):
        parser.add_argument(f"--{name}", metavar="VALUE", help="these alone")
