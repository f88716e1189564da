"""The table of verbs. Expected errors become one line on stderr and their exit code; a Ctrl-C is no error.

A verb's flags and its action live together in `commands/<verb>`, imported when it is called: `edge-agender --help`
loads neither OpenCV nor a network.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import sys
from collections.abc import Sequence

from edge_agender import __version__
from edge_agender.commands.parser import Parser
from edge_agender.common.masking import scrubbed
from edge_agender.common.output import reader_may_leave
from edge_agender.device.arguments import hide_addresses
from edge_agender.errors import EdgeAgenderError, ExhaustedError, UsageError

OVERVIEW = """\
Counts the audience of a digital sign: finds faces beside the camera, estimates age and gender,
and publishes the figures over MQTT. Pictures stay in memory; none is stored or sent.

first steps:
  edge-agender selftest                          run the pipeline on faces with known age and gender
  edge-agender run --source demo --sink stdout   watch messages without camera or broker
  edge-agender preview VIDEO                     your own video with boxes, ages and genders
  sudo edge-agender setup                        asks for broker and camera, and starts the service
  edge-agender watch                             live view of this or all devices
  edge-agender check --config config.yaml        is this configuration usable?
  edge-agender run --config config.yaml          the service
  sudo edge-agender doctor                       what is wrong, and what to do about it
"""

# Each a module or package of `commands`, with add_arguments(parser) and run(options) -> exit code.
VERBS = {
    "run": "the service: camera in, messages out, until told to stop",
    "check": "is the configuration usable? every mistake at once; exit code 78",
    "selftest": "run the pipeline on faces with known age and gender and check the result",
    "preview": "a recording of yours with ages and genders drawn on it, on a page or as a film",
    "report": "what recordings of yours show of an audience, as one page without pictures",
    "predict": "faces, ages and genders of pictures, one JSON object a line",
    "evaluate": "accuracy on your own labelled pictures, as JSON",
    "models": "which models there are; install published ones",
    "benchmark": "how fast is this board? by stage, beside what its silicon can do",
    "doctor": "what is wrong here, and what to do about it; exit code 1 on a failure",
    "privacy-report": "data-flow sheet, notice for the wall and DPIA draft, as you configured it",
    "setup": "asks for name, broker, camera and privacy level, and starts the service",
    "watch": "a live view of one device or a fleet",
    "fleet": "on a server: collect from many devices, a page, exports",
}


def build_parser(verb: str | None = None, *, every: bool = False) -> Parser:
    """Return the parser of all verbs, with the flags of `verb` alone: only its module is imported.

    `every` gives all verbs their flags, for the manual page and shells (packaging/shell_files.py).
    """
    parser = Parser(prog="edge-agender", description=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"edge-agender {__version__}")
    parser.add_argument("--benchmark", action="store_true", help="how fast is this board? same as the verb benchmark")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, summary in VERBS.items():
        added = verbs.add_parser(name, help=summary)
        if every or name == verb:
            command = _command(name)
            command.add_arguments(added)
            added.set_defaults(action_of_verb=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 where whoever read its output has left, as `| head` does."""
    try:
        with reader_may_leave():
            return _run(list(sys.argv[1:] if arguments is None else arguments))
    except EdgeAgenderError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        # Of any path that was given: even looking whether it is there can be forbidden.
        if error.filename is None:
            raise
        return _failed(UsageError(f"{error.filename}: {error.strerror}: give a path that this user may use"))
    except (OSError, RuntimeError, MemoryError, ImportError) as error:
        if (exhausted := _exhausted(error)) is None:
            raise
        return _failed(exhausted)
    return 0


def _run(words: list[str]) -> int:
    # A terminal that knows fewer letters shows a device's name with a question mark, rather than nothing at all.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if "--benchmark" in words:
        words.remove("--benchmark")
        words.insert(0, "benchmark")
    hide_addresses()
    verb = next((word for word in words if word in VERBS), None)
    parser = build_parser(verb)
    if verb and words[0].startswith("--") and words[0] not in parser.flags():
        parser.error(f"flags follow the verb: edge-agender {verb} {words[0].partition('=')[0]} ...")
    options = parser.parse_args(words)
    if options.verb is None:
        parser.print_help()
        return 0
    return int(options.action_of_verb(options))


def _failed(error: EdgeAgenderError) -> int:
    with contextlib.suppress(OSError), reader_may_leave():
        for line in str(error).splitlines():
            print(f"edge-agender: {scrubbed(line)}", file=sys.stderr)
    return error.exit_code


def _exhausted(error: Exception) -> ExhaustedError | None:
    """Return what the system has no more of, where that is what failed; None for any other failure."""
    if isinstance(error, MemoryError):
        return ExhaustedError("out of memory: end other programs, or raise MemoryMax= of the unit")
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        where = getattr(error, "filename", None) or "where the output goes"
        return ExhaustedError(f"{where}: the disk is full: free some space there")
    text = str(error).lower()
    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or "too many open files" in text:
        return ExhaustedError("too many open files: raise LimitNOFILE= of the unit (ulimit -n)")
    if "start new thread" in text or getattr(error, "errno", None) in (errno.EAGAIN, errno.ENOMEM):
        return ExhaustedError("no more threads or processes: raise TasksMax= of the unit (ulimit -u)")
    return None


def _command(verb: str) -> argparse.Namespace:
    module = importlib.import_module(f"edge_agender.commands.{verb.replace('-', '_')}")
    return argparse.Namespace(add_arguments=module.add_arguments, run=module.run)
