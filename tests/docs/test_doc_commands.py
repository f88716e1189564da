"""Every command of the documentation runs: here, in a folder of its own, or in a test that ELSEWHERE names.

A new command in a fenced block of README.md, CONTRIBUTING.md or docs/ needs a line in one of the two tables.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.publish as publish
import pytest

from tests.support.broker import needs_mosquitto, running
from tests.support.doc_commands import FENCE, PAGES, PASSWORD, ROOT, Command, Sandbox, commands

# Run here -> what it must print. All must succeed.
HERE = {
    r"edge-agender --version": r"^edge-agender \d",
    r"edge-agender selftest": r"^passed",
    r"edge-agender selftest --json": r'"passed": true',
    r"(sudo )?edge-agender check( --config \S+)?( --broker)?( --set mqtt.password_file=\S+)?": r"^ok: ",
    r"edge-agender run --source demo --sink stdout .*duration_s=\d": r'"schema": ?"edge-agender\.\w+"',
    r"edge-agender models list": r"agender-ssrnet +estimator +shipped",
    r"edge-agender models info ssrnet": r"SSR-Net",
    r"edge-agender predict photo.jpg( --out marked)?": r'"years"',
    r"edge-agender report holiday.mp4( --truth visits.csv)? --out report.html": r"^written: ",
    r"edge-agender preview holiday.mp4 --out annotated.mp4": r"\d viewers?: ",
    r"edge-agender evaluate faces labels.csv": r'"detected": 1.0',
    r"edge-agender evaluate boxes labels.json": r'"average_precision|"ap',
    r"edge-agender --benchmark --faces 1 --json": r'"networks"|"stages"',
    r"edge-agender privacy-report --config \S+ --out privacy-report": r"",
    r"mosquitto_sub .*": r"edge-agender/entrance/status .*online",
    r"sudo install -D? ?-?m ?\d+ .*|sudo install -D -m 644 .*|sudo install -d -m 700 /etc/credstore": r"",
    r"sudo ln -s /opt/edge-agender/bin/edge-agender /usr/local/bin/edge-agender": r"",
    r"sudo sh -c 'umask 077; cat > /etc/credstore/edge-agender\.[a-z-]+'": r"",
    r"sudo rm -rf (/(opt|etc|var/lib|usr/local)/\S+ ?)+": r"",
}
INSTALL = "tests/real_systemd/checks_of_install.py"
SERVICE = "tests/real_systemd/checks_of_service.py"
# Runs whole sections of the pages as they stand.
DOCUMENTED = "tests/real_systemd/documented.py"
FLEET = "tests/fleet/documented.py"
# Needs root, apt, systemd, a network, hours or a person -> where it is run, and what shows it there.
ELSEWHERE = {
    r"sudo apt install (-y )?.*python3-venv": (".ci/run", "python3-venv"),
    r"sudo apt install .*python3-picamera2.*": ("../shared/tools/virtual-camera/make-chroot", "picamera2"),
    r"sudo apt install \./edge-agender_\*_arm64\.deb .*": (INSTALL, '"dpkg", "-i", packages().old'),
    r"sudo python3 -m venv --system-site-packages /opt/edge-agender": (DOCUMENTED, "A virtual environment"),
    r"sudo /opt/edge-agender/bin/pip install .*": (DOCUMENTED, "A virtual environment"),
    r"sudo systemctl (restart|reload) edge-agender": (DOCUMENTED, "sudo systemctl reload edge-agender"),
    r"sudo systemctl (enable|disable) --now edge-agender": (DOCUMENTED, "sudo systemctl disable"),
    r"sudo systemctl edit edge-agender": ("tests/real_systemd/system.py", "DROP_IN"),
    r"systemctl status edge-agender|journalctl .*": (DOCUMENTED, "docs/troubleshooting.md"),
    r"sudo edge-agender doctor( --json)?": (SERVICE, '"doctor"'),
    r"sudo edge-agender setup( --yes .*)?|sudo /opt/edge-agender/bin/edge-agender setup": (INSTALL, '"setup"'),
    r"edge-agender watch( --broker .*| --device .*)?": ("tests/commands/watch/test_watch.py", '"watch", "--broker"'),
    r"edge-agender preview holiday.mp4": ("tests/commands/preview/test_preview.py", '"preview", "demo", "--port"'),
    r"edge-agender preview /dev/video0 --i-am-in-view": ("tests/commands/preview/test_rules.py", "in_view=True"),
    r"edge-agender models add res10": ("tests/commands/models/test_install.py", "add_model"),
    r"edge-agender models add ssrnet --from ~/downloads": ("tests/commands/models/test_keras.py", "def test"),
    r"edge-agender models (add my-ssrnet --from \S+|info my-ssrnet)": ("tests/training/test_recipe.py", "add_model"),
    r"edge-agender evaluate faces labels.csv --estimator my-ssrnet": (
        "tests/training/test_recipe.py",
        "ModelEstimator",
    ),
    r"sudo edge-agender setup --estimator my-ssrnet": ("tests/commands/setup/test_estimator.py", '"--estimator"'),
    r"pip install -e '\.\[train\]'": ("pyproject.toml", "train = ["),
    r"sudo systemctl disable --now mosquitto": ("edge_agender/fleet/mosquitto.py", "class OwnBroker"),
    r"sudo python3 -m venv /opt/edge-agender": (DOCUMENTED, "A virtual environment"),
    r"sudo edge-agender fleet .*|edge-agender fleet unit .*": (FLEET, "One server"),
    r"sudo systemctl enable --now edge-agender-fleet": (FLEET, "One server"),
    r"sudo edge-agender fleet config .*": ("tests/fleet/test_remote.py", '"fleet", "config", "set"'),
    r"packaging/lock": ("tests/packaging/test_packaging.py", '"lock"'),
    r"\.venv/bin/python -m pytest .*": ("Makefile", "-m pytest"),
    r"\.venv/bin/python -m docs_tools": ("tests/docs/test_docs.py", "fill"),
}
# Targets of the Makefile -> who runs them; `make -n` shows here that they exist.
TARGETS = {
    "demo": ("tests/docs/test_doc_commands.py", "test_the_demo"),
    "docs": (".ci/run", "make docs"),
    "test": (".ci/run", "make test"),
    "test-all": (".ci/run", "make test"),
    "format": ("Makefile", "ruff format"),
    "prove-no-images": (".ci/run", "make prove-no-images"),
    "test-virtual-camera": (".ci/run", "make test-virtual-camera"),
    "test-systemd": (".ci/run", "make test-systemd"),
    "test-documented": (".ci/run", "make test-documented"),
    "test-deb": ("Makefile", "tests/real_systemd/trixie-root"),
    "test-arm64": ("tests/arm64/run", "selftest"),
    "test-newcomer": ("tests/newcomer/steps", "make demo"),
    "soak": ("proofs/soak.py", "--hours"),
    "deb": ("tests/real_systemd/run", "packaging/make-deb"),
    "sbom": ("tests/packaging/test_packaging.py", '"sbom"'),
    "audit": ("tests/packaging/test_packaging.py", '"audit"'),
    "fleet": ("tests/fleet/run", "proof proofs.fleet --seconds"),
    "test-fleet": (".ci/run", "make test-fleet"),
    "train": ("training/run", "training.record"),
    "train-estimator": ("tests/training/test_recipe.py", "train-estimator"),
    "train-shipped-estimator": ("training/shipped-estimator", "training.record"),
    "screenshots": ("docs_tools/screenshots.py", "def main"),
}

# Programs that take a second or more, beyond the first of their kind: make test-all.
SLOW = (
    r"edge-agender (--version|--benchmark .*|selftest.*|check( --config \S+)?|.*aggregate.*"
    r"|(models info|predict|preview|report|evaluate|privacy-report) .*)"
)

COMMANDS = commands()
LOCAL = sorted({command.text for command in COMMANDS if any(re.fullmatch(known, command.text) for known in HERE)})
PARAMETERS = [
    pytest.param(command, id=command, marks=[pytest.mark.slow] if re.fullmatch(SLOW, command) else [])
    for command in LOCAL
]
MAKE = sorted({command.text for command in COMMANDS if command.text.startswith("make ")})


def targets(command: str) -> list[str]:
    return [word for word in shlex.split(command)[1:] if "=" not in word]


def places(command: str) -> list[tuple[str, str]]:
    """Return where a command that is not run here is run."""
    if command.startswith("make "):
        return [TARGETS[target] for target in targets(command) if target in TARGETS]
    return [place for known, place in ELSEWHERE.items() if re.fullmatch(known, command)]


def test_there_are_commands() -> None:
    assert {command.page for command in COMMANDS} >= {"README.md", "docs/mount.md", "docs/install.md", "docs/index.md"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.page}: {command.text}")
def test_every_command_has_a_place_where_it_runs(command: Command) -> None:
    if command.text in LOCAL:
        return
    known = places(command.text)
    assert known, "run it here (HERE), or say which test runs it (ELSEWHERE)"
    if command.text.startswith("make "):
        assert len(known) == len(targets(command.text)), "name every target in TARGETS"
    for name, shows in known:
        path = ROOT / name
        if name.startswith("..") and not path.exists():
            continue
        assert shows in path.read_text(encoding="utf-8"), f"{name} has no {shows}"


@pytest.mark.parametrize("pattern", [*HERE, *ELSEWHERE])
def test_no_line_of_the_tables_is_left_over(pattern: str) -> None:
    assert any(re.fullmatch(pattern, command.text) for command in COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_hides_in_an_indented_block(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert re.findall(r"^    (?:\$ |sudo |edge-agender |make |pip |mosquitto_|\.venv/).*$", prose, re.M) == []


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    box = Sandbox(tmp_path_factory.mktemp("documentation"))
    with running(box.broker) as broker:
        publish.single(
            "edge-agender/entrance/status",
            '{"state": "online"}',
            retain=True,
            port=broker.port,
            auth={"username": "entrance", "password": PASSWORD},
        )
        yield box


@needs_mosquitto
@pytest.mark.parametrize("command", PARAMETERS)
def test_the_commands_do_what_the_page_says(command: str, sandbox: Sandbox) -> None:
    sandbox.prepare()
    typed = re.search(r"cat > (/etc/\S+)'", command)
    if typed:
        Path(f"{sandbox.system}{typed[1]}").unlink(missing_ok=True)
    done = sandbox.run(command, stdin="correct horse\n")
    assert done.returncode == 0, done.stdout + done.stderr
    (expected,) = [expected for known, expected in HERE.items() if re.fullmatch(known, command)]
    assert re.search(expected, done.stdout, re.M), done.stdout
    if typed:
        secret = Path(f"{sandbox.system}{typed[1]}")
        assert (secret.read_text(), oct(secret.stat().st_mode & 0o777)) == ("correct horse\n", "0o600")


@pytest.mark.parametrize("command", MAKE)
def test_the_targets_exist(command: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    done = subprocess.run(
        [*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """What `make` takes for its virtual environment, with this test's own Python in it."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    for name, start in {"python": sys.executable, "mkdocs": f"{sys.executable} -m mkdocs"}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (programs / name).chmod(0o755)
    for name in (".run", ".dev", ".docs"):
        (tmp_path / "venv" / name).touch()
    return tmp_path / "venv"


@pytest.mark.slow
@needs_mosquitto
def test_the_demo_shows_messages(environment: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    command = ["make", "demo", "SECONDS=4", "JSON=1", f"VENV={environment}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "edge-agender/demo/status" in done.stdout, done.stdout + done.stderr
