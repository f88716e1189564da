"""Programs whose reader leaves, or whose output goes to a full disk, each behind a real pipe."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agender.common.output import READER_LEFT, reader_may_leave
from edge_agender.errors import ConfigError
from tests.support.paths import ROOT

PRINTS_FOR_EVER = """
import sys
from edge_agender.common.output import run_script
def main():
    while True:
        print("x" * 100, flush={flush})
run_script(main)
"""


def shell(script: str) -> subprocess.CompletedProcess[str]:
    # Output to a pipe is buffered, whatever this machine prefers: the last of it is written when a program ends.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = ["bash", "-o", "pipefail", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=environment)


def program(code: str) -> str:
    return f"{sys.executable} -c '{code}'"


@pytest.mark.parametrize("flush", [False, True])
def test_a_script_ends_when_its_reader_leaves(flush: bool) -> None:
    done = shell(f"{program(PRINTS_FOR_EVER.format(flush=flush))} | head -n 1")
    assert (done.stdout, done.stderr, done.returncode) == ("x" * 100 + "\n", "", READER_LEFT)


def test_a_script_keeps_its_exit_code() -> None:
    done = shell(program("from edge_agender.common.output import run_script; run_script(lambda: print(1) or 3)"))
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 3)


@pytest.mark.parametrize("words", ["--help", "models list", "fleet unit"])
def test_what_is_printed_once_and_read_by_nobody_is_no_error(words: str) -> None:
    # Whether it leaves before the first letter or after the last: both end the same.
    done = shell(f"{sys.executable} -m edge_agender {words} | true")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_an_error_that_nobody_reads_keeps_its_exit_code() -> None:
    done = shell(f"{sys.executable} -m edge_agender check --config /none.yaml 2>&1 >/dev/null | true")
    assert done.returncode == ConfigError.exit_code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_an_error_that_cannot_be_written_keeps_its_exit_code_too() -> None:
    done = shell(f"{sys.executable} -m edge_agender check --config /none.yaml 2>/dev/full")
    assert done.returncode == ConfigError.exit_code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_behind_the_output_is_one_line() -> None:
    done = shell(f"{sys.executable} -m edge_agender models list > /dev/full")
    assert done.returncode == 75
    assert done.stderr == "edge-agender: where the output goes: the disk is full: free some space there\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_behind_the_help_is_one_too() -> None:
    assert shell(f"{sys.executable} -m edge_agender --help > /dev/full").returncode == 75


FAILS = """
from edge_agender.common.output import run_script
def main():
    print("something")
    raise SystemError("what went wrong")
run_script(main)
"""


def test_what_went_wrong_is_reported_though_the_reader_has_left() -> None:
    done = shell(f"exec 3> >(exec true); wait $!; {sys.executable} -c {shlex.quote(FAILS)} >&3")
    assert done.returncode == 1
    assert done.stderr.endswith("SystemError: what went wrong\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_without_an_output_it_does_its_work(closed: str) -> None:
    assert shell(f"{sys.executable} -m edge_agender --version {closed}").returncode == 0


def test_a_connection_that_breaks_is_no_reader_that_left() -> None:
    with pytest.raises(BrokenPipeError, match="a connection"), reader_may_leave():
        raise BrokenPipeError("a connection")
