"""Run as root under a real systemd, in a clone: docs/fleet.md's commands in their order, and what must come of them."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import re
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from system import booted, say, sh, wait_for

PAGE = "http://127.0.0.1:8090"
PASSWORD = "forty-boxes"
STORE = "/var/lib/edge-agender-fleet/fleet.sqlite3"
HEADING = "One server, some hundred devices"
# What was fetched before, or waits for nobody here.
NOT_HERE = r"sudo apt install .*"
FINDINGS = r"sudo edge-agender fleet check"
LASTS = r"sudo edge-agender fleet revoke .*"


def blocks(language: str) -> list[str]:
    text = Path("docs/fleet.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(HEADING)}\n(.*?)(?=^## )", text, re.S | re.M)
    assert found, f"docs/fleet.md has no {HEADING}"
    return re.findall(rf"^```{language}\n(.*?)^```", found[1], re.S | re.M)


def commands() -> list[str]:
    lines = (re.sub(r"\s+# .*$|^# .*$", "", line).strip() for block in blocks("sh") for line in block.splitlines())
    return [line for line in lines if line]


def run(command: str) -> str:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], input=PASSWORD + "\n", capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    good = done.returncode == 0 or re.fullmatch(FINDINGS, command)
    assert good, f"{command}: {done.stdout}{done.stderr}\n{journal()}"
    say(f"ok    {command}")
    return done.stdout


def journal() -> str:
    return sh("journalctl", "-o", "cat", "-n", "40", "--no-pager", "-u", "edge-agender-fleet", check=False)


def serves() -> None:
    """The service that the page has installed collects, and shows its page."""

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"{PAGE}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        wait_for("page", healthy, 120)
    except AssertionError:
        raise AssertionError(journal()) from None
    say("ok    the page is there, and the broker")


def become(enrolment: str, name: str) -> None:
    """The box runs the one command that was printed for it; its window is stored."""
    found = re.search(r"sudo edge-agender setup .*", enrolment)
    assert found, enrolment
    command = f"{found[0]} --source demo"
    for _ in range(3):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False)
        # Where systemd itself failed at this machine's control groups (system.py).
        if not re.search("did not start|no answer within", done.stderr):
            break
        sh("systemctl", "reset-failed", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    say(f"ok    {re.sub('--enrol .*', '--enrol ...', found[0])} --source demo")
    wait_for(f"{name} online", lambda: state_of(name) == "online", 120)
    wait_for(f"a window of {name}", lambda: stored(name), 200)
    say(f"ok    {name} is online, and its first window is stored")


def log_in() -> urllib.request.OpenerDirector:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    body = json.dumps({"name": "ann", "password": PASSWORD}).encode()
    head = {"Content-Type": "application/json", "Origin": PAGE}
    opener.open(urllib.request.Request(f"{PAGE}/api/login", body, head), timeout=30).close()
    return opener


def shown(path: str) -> Any:
    with log_in().open(f"{PAGE}/api/{path}", timeout=30) as answer:
        return json.load(answer)


def state_of(name: str) -> str | None:
    return next((str(one["condition"]) for one in shown("devices") if one["name"] == name), None)


def stored(name: str) -> bool:
    with contextlib.closing(sqlite3.connect(f"file:{STORE}?mode=ro", uri=True)) as store:
        found = store.execute("SELECT count(*) FROM message WHERE kind = 'window' AND device = ?", (name,)).fetchone()
    return int(found[0]) > 0


def main() -> None:
    os.chdir(Path(__file__).parent / "clone")
    booted()
    sudo = Path("/usr/local/bin/sudo")
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    os.environ["PATH"] = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(Path(__file__).parent / "wheels")}
    hosts = Path("/etc/hosts")
    hosts.write_text(hosts.read_text() + "127.0.0.1 fleet.example.com\n" if hosts.exists() else
                     "127.0.0.1 localhost fleet.example.com\n")  # fmt: skip
    [configuration] = blocks("yaml")
    written = Path("/etc/edge-agender/fleet.yaml")
    enrolled: dict[str, str] = {}
    for command in commands():
        if re.fullmatch(NOT_HERE, command):
            say(f"      not here: {command}")
            continue
        if command.startswith("sudo edge-agender fleet user"):
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(configuration)
        if re.fullmatch(LASTS, command):
            for name, text in enrolled.items():
                become(text, name)
            run("sudo edge-agender fleet devices")
        said = run(command.replace("journalctl ", "journalctl --no-pager "))
        if "enable --now edge-agender-fleet" in command:
            serves()
        if "fleet enrol" in command:
            enrolled[command.split()[4]] = said
    assert len(enrolled) == 2, enrolled
    gone = sh("systemctl", "show", "--value", "-p", "NRestarts", "edge-agender-fleet").strip()
    assert gone == "0", f"the service was started {gone} times again"
    say(sh("edge-agender", "fleet", "devices"))
    say("passed")


if __name__ == "__main__":
    sys.exit(main())
