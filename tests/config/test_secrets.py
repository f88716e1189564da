"""Planted passwords must not come back: not in an error, a log, `check`'s answer or the list of processes."""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from edge_agender.config.load import load
from edge_agender.errors import ConfigError
from tests.support.broker import free_port, wait_until

SECRET = "pl4nted-s3cret"
MISTAKES = {
    "unknown option": f"mqtt: {{password: {SECRET}}}",
    "wrong place": f"mqtt: {{port: 'user:{SECRET}'}}",
    "section for a word": f"mqtt: {{username: {{password: {SECRET}}}}}",
    "word for a section": f"mqtt: 'user:{SECRET}@broker'",
    "list for a word": f"mqtt: {{username: x, password_file: [{SECRET}]}}",
    "URL as a kind": f"source: {{kind: 'rtsp://user:{SECRET}@camera/'}}",
    "URL in a list": f"source: {{kind: opencv, opencv: {{uri: ['rtsp://user:{SECRET}@camera/']}}}}",
    "URL beside a mistake": f"source: {{kind: opencv, width_px: wide, opencv: {{uri: 'rtsp://user:{SECRET}@camera/'}}}}",
    "open quote": f"mqtt:\n  username: x\n  password: '{SECRET}\n  host: y\n",
    "colon": f"mqtt:\n  password: {SECRET}: x\n",
    "at sign": f"mqtt:\n  password: @{SECRET}\n",
    "alias": f"mqtt:\n  password: *{SECRET}\n",
    "tag": f"mqtt:\n  password: !{SECRET}\n",
    "tag of a handle": f"mqtt:\n  password: !{SECRET}!x\n",
    "value beside its tag": f"mqtt:\n  password: !!int {SECRET}\n",
    "value that is no boolean": f"mqtt:\n  password: !!bool {SECRET}\n",
    "anchor twice": f"mqtt:\n  password: &{SECRET} a\n  username: &{SECRET} b\n",
    "tab": f"mqtt:\n\tpassword: {SECRET}\n",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_configuration_repeats_no_password(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(MISTAKES[name])
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "option", [f"mqtt.password={SECRET}", f"mqtt.username=[{SECRET}", f"mqtt.port=user:{SECRET}@x"]
)
def test_a_mistake_on_the_command_line_repeats_no_password(option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, [option])
    assert SECRET not in str(caught.value)


def configuration(folder: Path, source: str) -> Path:
    """The loudest log level, a secret wherever one may stand, and a broker that is not there."""
    (folder / "password").write_text(SECRET + "\n")
    path = folder / "config.yaml"
    path.write_text(
        f"source: {source}\n"
        f"mqtt: {{host: 127.0.0.1, port: 1, username: shop, password_file: {folder}/password, reconnect_max_s: 0.5}}\n"
        f"outbox: {{path: {folder}/outbox.db}}\n"
        "web: {enabled: false}\n"
        "log: {level: debug}\n"
    )
    return path


STREAM = f"{{kind: opencv, opencv: {{uri: 'http://user:{SECRET}@127.0.0.1:1/video', reconnect_max_s: 0.5}}}}"


def test_check_says_what_is_wrong_without_the_password(tmp_path: Path) -> None:
    path = configuration(tmp_path, STREAM)
    command = [sys.executable, "-m", "edge_agender", "check", "--config", str(path), "--broker"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 69, done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{kind: demo}", ["DEBUG edge_agender.delivery.mqtt.publisher: broker 127.0.0.1:1"]),
        (
            STREAM,
            [
                "DEBUG edge_agender.delivery.mqtt.publisher: broker 127.0.0.1:1",
                "DEBUG edge_agender.capture.sources.reconnect: http://127.0.0.1: ",
            ],
        ),
    ],
    ids=["demo", "stream"],
)
def test_a_running_daemon_shows_no_password(source: str, told: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_agender", "run", "--config", str(configuration(tmp_path, source))]
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path)
    try:
        # The log has told of every host, loudly and quietly; without that this would show nothing.
        wait_until(lambda: all(words in output.read_text() for words in told), what=f"{told} in the log")
        assert process.poll() is None, output.read_text()
        listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    assert SECRET.encode() not in output.read_bytes() + listed
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in ("password", "config.yaml"):
            assert SECRET.encode() not in path.read_bytes(), path


ADDRESSES = (
    f"http://admin:{SECRET}@127.0.0.1:1/snap.jpg",
    f"rtsp://127.0.0.1:1/user=admin_password={SECRET}_channel=1",
    f"http://127.0.0.1:1/video;token={SECRET}",
    f"rtsp://127.0.0.1:1/live?key={SECRET}#{SECRET}",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_on_the_command_line_is_shown_nowhere(address: str, tmp_path: Path) -> None:
    """Neither the log at its loudest, nor the process list, nor what the status page says without a password."""
    port, output = free_port(), tmp_path / "output"
    options = ("log.level=debug", f"web.port={port}", f"outbox.path={tmp_path}", "source.opencv.reconnect_max_s=0.5")
    command = [sys.executable, "-m", "edge_agender", "run", "--sink", "stdout", "--source", address]
    command += [word for option in options for word in ("--set", option)]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path)
    try:
        wait_until(lambda: "127.0.0.1: " in output.read_text(), what="the log tells of the camera")
        pages = [b""]

        def camera_is_known_to_fail() -> bool:
            with suppress(OSError, HTTPException):
                pages[:] = [page(port, path) for path in ("/healthz", "/status.json", "/metrics")]
            return b'"state": "camera"' in pages[0]

        wait_until(camera_is_known_to_fail, what="/healthz says that the camera fails")
        listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.terminate()
        process.wait(60)
    assert b"//127.0.0.1" in listed
    assert SECRET.encode() not in b"".join(pages) + listed + output.read_bytes()
    assert set(json.loads(pages[0])) == {"status", "state"}


def page(port: int, path: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "words",
    [
        ("predict", ADDRESSES[0]),
        ("run", ADDRESSES[0]),
        ("check", "--set", ADDRESSES[0]),
        ("check", "--set", f"source.opencv.{ADDRESSES[1]}=1"),
        ("check", "--set", f"mqtt.host=mqtt://shop:{SECRET}@broker"),
        ("check", "--set", f"mqtt.hosts=['shop:{SECRET}@broker']"),
        ("run", "--sink", "stdout", "--source", f"admin:{SECRET}@camera/live"),
        ("run", "--sink", "stdout", "--source", f"camera/user=admin&password={SECRET}.jpg"),
    ],
)
def test_a_wrong_command_repeats_no_address(words: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_agender", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
