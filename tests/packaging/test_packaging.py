"""The locks hold what pyproject.toml asks for, with hashes, and the package's scripts are sound shell."""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge_agender.cli import VERBS
from tests.support.paths import ROOT

PACKAGING = ROOT / "packaging"
PYTHONS = ("3.11", "3.13")


def locked(python: str) -> dict[str, str]:
    """Name -> version of one lock."""
    lines = (PACKAGING / f"requirements-py{python}.txt").read_text().splitlines()
    pins = [re.match(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in lines]
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_satisfies_what_the_project_needs(python: str) -> None:
    pins = locked(python)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["web"]]
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_every_locked_package_has_hashes_and_no_address(python: str) -> None:
    text = (PACKAGING / f"requirements-py{python}.txt").read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(locked(python))
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_both_locks_share_what_the_package_stores_once() -> None:
    """packaging/make-deb keeps one OpenCV and one PyAV for both Pythons."""
    for name in ("opencv-python-headless", "av"):
        assert locked("3.11")[name] == locked("3.13")[name]


def test_bookworm_keeps_the_numpy_that_its_camera_packages_are_built_for() -> None:
    assert locked("3.11")["numpy"].startswith("1.")
    assert locked("3.13")["numpy"].startswith("2.2.")


def test_what_builds_the_package_is_locked_too() -> None:
    """packaging/make-deb builds the wheel with these and nothing newer: the same source gives the same package."""
    text = (PACKAGING / "requirements-build.txt").read_text()
    pins = dict(re.findall(r"^([a-z-]+)==(\S+)", text, re.M))
    (wanted,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert Requirement(wanted).specifier.contains(pins["hatchling"])
    assert "://" not in text
    assert text.count("--hash=sha256:") >= len(pins)
    assert "--no-build-isolation" in (PACKAGING / "make-deb").read_text()


@pytest.mark.parametrize("name", ["make-deb", "lock", "sbom", "audit", "deb/postinst", "deb/prerm", "deb/postrm"])
def test_scripts_are_executable_and_parse(name: str) -> None:
    path = PACKAGING / name
    shell = path.read_text().splitlines()[0].split("/")[-1].split()[-1]
    assert path.stat().st_mode & 0o111
    assert subprocess.run([shell, "-n", str(path)], capture_output=True, check=False).returncode == 0


def test_the_tests_under_a_real_systemd_need_nothing_outside_a_clone() -> None:
    for path in (ROOT / "tests/real_systemd").iterdir():
        if path.is_file():
            assert "../shared" not in path.read_text(), path


@pytest.fixture(scope="module")
def shell_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "1750000000"}
    subprocess.run([sys.executable, str(PACKAGING / "shell_files.py"), str(root)], env=environment, check=True)
    return root


def test_the_manual_names_every_verb_and_has_the_builds_date(shell_files: Path) -> None:
    text = gzip.decompress((shell_files / "usr/share/man/man1/edge-agender.1.gz").read_bytes()).decode()
    assert '"2025-06-15"' in text
    for verb in VERBS:
        assert verb.replace("-", "\\-") in text, verb
    assert "\\-\\-i\\-am\\-in\\-view" in text
    if shutil.which("man"):
        page = ["man", "--warnings", "-l", "-"]
        done = subprocess.run(page, input=text, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C.UTF-8"})
        assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_verbs_and_their_options(shell_files: Path) -> None:
    file = shell_files / "usr/share/bash-completion/completions/edge-agender"
    script = (
        f"source {file}; complete -p edge-agender >/dev/null || exit 1; "
        'try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _shtab_edge_agender edge-agender "${@: -1}"; '
        'echo "${COMPREPLY[@]}"; }; try edge-agender pre; try edge-agender preview --bl'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["preview predict", "--blur"] or done.stdout.splitlines() == [
        "predict preview",
        "--blur",
    ], done.stdout + done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_completions_parse(shell_files: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} is installed here")
    (file,) = [path for path in (shell_files / f"usr/share/{shell}").rglob("*") if path.is_file()]
    assert subprocess.run([shell, "-n", str(file)], capture_output=True, check=False).returncode == 0
