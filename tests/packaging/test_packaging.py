"""The locks hold what pyproject.toml asks for, with hashes, and the package's scripts are sound shell."""

import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    """packaging/make-deb keeps one OpenCV for both Pythons."""
    assert locked("3.11")["opencv-python-headless"] == locked("3.13")["opencv-python-headless"]


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
