"""Threads, descriptors or memory used up: one line and an exit code for the supervisor, never a traceback."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agender import cli
from edge_agender.commands import check
from tests.support.paths import ROOT
from tests.support.unprivileged import needs_root

# Root has no limit of processes: somebody without a name, who may read what lies below root's folders.
CAPABILITIES = "+dac_read_search,+dac_override"
NOBODY = ("setpriv", "--reuid=54399", "--clear-groups", f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}")


def run_within(kind: int, most: int, state: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Run the real daemon for a second of the demo with so many descriptors or processes."""
    settings = (f"outbox.path={state}", "web.port=0", "mqtt.port=1", "schedule.off_file=null", "source.kind=demo")
    settings += ("source.demo.pace=false", "source.demo.duration_s=1")
    words = [*before, sys.executable, "-m", "edge_agender", "run", "--until-end"]
    words += [word for setting in settings for word in ("--set", setting)]
    code = (
        f"import os, resource, sys; resource.setrlimit({kind}, ({most}, {most})); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=ROOT, timeout=600
    )


@pytest.mark.parametrize("most", [6, 7])
def test_without_descriptors_it_is_one_line(most: int, tmp_path: Path) -> None:
    done = run_within(resource.RLIMIT_NOFILE, most, tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "Too many open files" in done.stderr or "too many open files" in done.stderr


@needs_root
@pytest.mark.parametrize("most", [2, 4])
def test_without_threads_it_is_one_line(most: int, tmp_path: Path) -> None:
    done = run_within(resource.RLIMIT_NPROC, most, tmp_path, *NOBODY)
    assert (done.returncode, "Traceback" in done.stderr) == (75, False), done.stderr
    assert "no more threads" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "out of memory"),
        (OSError(24, "Too many open files"), "LimitNOFILE"),
        (ImportError("libx.so: cannot open shared object file: Too many open files"), "LimitNOFILE"),
        (RuntimeError("can't start new thread"), "TasksMax"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "TasksMax"),
    ],
)
def test_what_is_used_up_is_named_with_what_raises_it(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_options: object) -> int:
        raise error

    monkeypatch.setattr(check, "run", fails)
    assert cli.main(["check"]) == 75
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_any_other_failure_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_options: object) -> int:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(check, "run", fails)
    with pytest.raises(OSError, match="Input/output"):
        cli.main(["check"])
