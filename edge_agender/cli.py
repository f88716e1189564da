"""Verbs and flags. Expected errors become one line on stderr and their exit code; a Ctrl-C is no error.

Each command is imported when it is called: `edge-agender --help` loads neither OpenCV nor a network.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agender import __version__
from edge_agender.errors import EdgeAgenderError

SYSTEM_CONFIG = Path("/etc/edge-agender/config.yaml")
CONFIG_VARIABLE = "EDGE_AGENDER_CONFIG"

OVERVIEW = """\
Counts the audience of a digital sign: finds faces beside the camera, estimates age and gender,
and publishes the figures over MQTT. Pictures stay in memory; none is stored or sent.

first steps:
  edge-agender selftest                          does this installation see what it should?
  edge-agender run --source demo --sink stdout   watch messages without camera or broker
  sudo edge-agender setup                        asks for broker and camera, and starts the service
  edge-agender watch                             live, what this or all devices say
  edge-agender check --config config.yaml        is this configuration usable?
  edge-agender run --config config.yaml          the service
  sudo edge-agender doctor                       what is wrong, and what to do about it
"""


def _configured(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"default: ${CONFIG_VARIABLE}, {SYSTEM_CONFIG} where it exists, else built-in values",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.OPTION=VALUE",
        dest="overrides",
        help="any option of config.yaml, such as mqtt.host=broker.local; may be repeated",
    )


def _with_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        metavar="WHAT",
        help="demo, picamera2, a video file, a picture or folder, an http or rtsp URL, or /dev/video0",
    )


def _add_run(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("run", help="the service: camera in, messages out, until told to stop")
    _configured(parser)
    _with_source(parser)
    parser.add_argument(
        "--sink", choices=("mqtt", "stdout"), default="mqtt", help="stdout prints 'topic payload' lines instead"
    )
    parser.add_argument("--until-end", action="store_true", help="stop at the end of a file instead of starting again")


def _add_check(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("check", help="is the configuration usable? every mistake at once; exit code 78")
    _configured(parser)
    parser.add_argument("--broker", action="store_true", help="also connect to the broker once")


def _add_selftest(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("selftest", help="does this installation find, count and judge the demo's faces?")
    _configured(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def _add_predict(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("predict", help="faces, ages and genders of pictures, one JSON object a line")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="picture files or folders")
    parser.add_argument("--score-threshold", type=float, metavar="0..1", help="default: the detector's own")
    parser.add_argument("--detector", choices=("ssd", "res10", "haar"), default="ssd")
    parser.add_argument("--estimator", metavar="NAME", help="a model of `edge-agender models list`")


def _add_doctor(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("doctor", help="what is wrong here, and what to do about it; exit code 1 on a failure")
    _configured(parser)
    _with_source(parser)
    parser.add_argument("--json", action="store_true", help="a JSON array of {check, state, finding, remedy}")


def _add_benchmark(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("benchmark", help="how fast is this board? by stage, beside what its silicon can do")
    _configured(parser)
    parser.add_argument("--source", metavar="WHAT", default="demo", help="as for run; default: demo")
    parser.add_argument("--faces", metavar="N,N,...", help="audience sizes of the demo; default: 0,1,4,16")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="for both networks; default: 1")
    parser.add_argument("--json", action="store_true", help="JSON (docs/benchmark.schema.json) instead of a table")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="also print ratios to an older result")


def _add_models(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("models", help="which models there are; install published ones")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="every model known: shipped, added, or to be had")
    info = actions.add_parser("info", help="what is known of a model, and its card")
    info.add_argument("name")
    add = actions.add_parser("add", help="install a published model, every file checked by its SHA-256")
    add.add_argument("name")
    add.add_argument("--from", type=Path, dest="folder", metavar="DIR", help="take the published files from a folder")


def _add_evaluate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("evaluate", help="accuracy on your own labelled pictures, as JSON")
    kinds = parser.add_subparsers(dest="kind", metavar="faces|boxes", required=True)
    faces = kinds.add_parser("faces", help="age and gender; LABELS.csv has path, age, gender (male|female)[, group]")
    boxes = kinds.add_parser("boxes", help="average precision of the detector; LABELS.json as WIDER's")
    for kind, suffix in ((faces, "csv"), (boxes, "json")):
        kind.add_argument("labels", type=Path, metavar=f"LABELS.{suffix}")
        kind.add_argument("--root", type=Path, help="folder that the paths start from; default: that of the labels")
        kind.add_argument("--detector", choices=("ssd", "res10", "haar"), default="ssd")
        kind.add_argument("--estimator", metavar="NAME", help="a model of `edge-agender models list`")


def _add_privacy_report(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "privacy-report", help="data-flow sheet, notice for the wall and DPIA draft, as you configured it"
    )
    _configured(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("privacy-report"), metavar="DIR", help="default: ./privacy-report"
    )
    parser.add_argument(
        "--proof", type=Path, metavar="FILE", help="result of make prove-no-images; default: this machine's"
    )
    parser.add_argument("--language", choices=("en",), default="en")


def _with_broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--broker", metavar="HOST", help="name or address of the MQTT broker")
    parser.add_argument("--port", metavar="N", help="default: 1883, or 8883 with TLS")
    parser.add_argument("--tls", action="store_true", help="TLS, with the certificate authorities of this system")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="TLS, with the certificate authority in this file")
    parser.add_argument("--user", metavar="NAME", help="user name at the broker")
    # Never the password itself: everybody on the machine can read command lines.
    parser.add_argument("--password-file", metavar="FILE", help="file with the password alone; - reads standard input")


def _add_setup(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("setup", help="asks for name, broker, camera and privacy level, and starts the service")
    parser.add_argument("--yes", action="store_true", help="ask nothing: flags, else what is configured, else defaults")
    parser.add_argument("--name", metavar="WORD", help="device name, such as lobby")
    _with_broker(parser)
    _with_source(parser)
    parser.add_argument("--privacy", metavar="LEVEL", help="aggregate, frame or viewer")
    parser.add_argument("--no-start", action="store_true", help="write the files only")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="write below this folder instead, and start nothing"
    )


def _add_watch(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("watch", help="a live view of what one device or a fleet says")
    _configured(parser)
    _with_broker(parser)
    parser.add_argument("--device", metavar="NAME", default="+", help="one device only; default: all")
    parser.add_argument("--json", action="store_true", help="one JSON object a change instead of a view")
    parser.add_argument("--count", type=int, metavar="N", help="end after N changes")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after S seconds")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-agender", description=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"edge-agender {__version__}")
    parser.add_argument("--benchmark", action="store_true", help="how fast is this board? same as the verb benchmark")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for add in (
        _add_run,
        _add_check,
        _add_selftest,
        _add_predict,
        _add_evaluate,
        _add_models,
        _add_benchmark,
        _add_doctor,
        _add_privacy_report,
        _add_setup,
        _add_watch,
    ):
        add(verbs)
    return parser


def configure_logging(level: str) -> None:
    """Log to stderr; under systemd without a time of our own, since the journal has one."""
    prefix = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        level=level.upper(), format=f"{prefix}%(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # A terminal that knows fewer letters shows a device's name with a question mark, rather than nothing at all.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if "--benchmark" in words:
        words.remove("--benchmark")
        words.insert(0, "benchmark")
    parser = build_parser()
    options = parser.parse_args(words)
    if options.verb is None:
        parser.print_help()
        return 0
    try:
        commands = importlib.import_module("edge_agender.commands")
        return int(getattr(commands, options.verb.replace("-", "_"))(options))
    except EdgeAgenderError as error:
        for line in str(error).splitlines():
            print(f"edge-agender: {line}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has left, as `| head` does: nothing to say and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
