"""Fuzz the configuration's loader, the command handler and the manifest:

    python -m proofs.fuzz --minutes 10

Each target runs for so long in a process of its own, from the repository's files as seeds. Exit code 1 with the input
that did it after the first exception that is not meant; 77 where atheris is not installed (pip install '.[fuzz]').
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from edge_agender.common.output import run_script

NAMES = ("config", "commands", "manifest")
# Much more than any target needs, so that an input that makes memory explode is a finding.
MEMORY_MB = 1500
SLOW_S = 10


def fuzz(name: str, folder: Path, arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["edge_agender", "yaml", "proofs.fuzz.targets"]):
        from proofs.fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text("".join(json.dumps(word) + "\n" for word in target.words))
    options = [f"-dict={words}", f"-max_len={target.max_bytes}", f"-timeout={SLOW_S}", f"-rss_limit_mb={MEMORY_MB}"]
    options += [f"-artifact_prefix={folder}/found-", "-print_final_stats=1", *arguments, str(corpus)]
    atheris.Setup([sys.argv[0], *options], target.run)
    atheris.Fuzz()


def run(name: str, minutes: float) -> bool:
    """Fuzz one target in a child process, print one line, and say whether nothing was found."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name_of_folder:
        folder = Path(name_of_folder)
        command = [sys.executable, "-m", "proofs.fuzz", "--child", str(folder), name]
        command += ["--", f"-max_total_time={minutes * 60:.0f}"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        figures = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
        covered = re.findall(r"cov: (\d+)", done.stderr)
        print(
            f"{name}: {minutes:g} minutes, {int(figures.get('number_of_executed_units', 0)):,} inputs, "
            f"{covered[-1] if covered else '?'} branches, {figures.get('peak_rss_mb', '?')} MB at most: "
            f"{'nothing found' if done.returncode == 0 else 'FOUND'}",
            flush=True,
        )
        if done.returncode:
            print(f"exit code {done.returncode}\n{done.stderr[-3000:]}\n{done.stdout[-3000:]}")
            for path in folder.glob("found-*"):
                print(f"{path.name}: {path.read_bytes()!r}")
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="proofs.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(NAMES)}; all where none is named")
    words = sys.argv[1:]
    own, libfuzzer = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    options = parser.parse_args(own)
    if importlib.util.find_spec("atheris") is None:
        print("skipped: atheris is not installed: pip install '.[fuzz]' (Python 3.11 to 3.13)", file=sys.stderr)
        return 77
    unknown = set(options.targets) - set(NAMES)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if options.child:
        fuzz(options.targets[0], options.child, libfuzzer)
    found = [name for name in options.targets or NAMES if not run(name, options.minutes)]
    return 1 if found else 0


if __name__ == "__main__":
    run_script(main)
