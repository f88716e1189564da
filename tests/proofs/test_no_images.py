"""The proof must be able to fail: every way of hiding a picture that it claims to see is tried on it here."""

import base64
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender import __version__
from edge_agender.commands.privacy_report.proof import read_proof
from proofs.no_images import trace
from proofs.no_images.pixels import Bytes, Known, Scanner, binary_regions
from proofs.no_images.unpack import unpacked


def drawn_face(seed: int, size: int = 96) -> Bytes:
    """Something with the light and dark of a face, different for each seed, B, G, R."""
    random = np.random.default_rng(seed)
    face = np.full((size, size, 3), random.integers(140, 200, 3), np.uint8)
    dark = tuple(int(value) for value in random.integers(10, 70, 3))
    for x in (0.32, 0.68):
        cv2.circle(face, (int(x * size), int(0.38 * size)), int(random.uniform(4, 8)), dark, -1)
    cv2.line(face, (size // 2, int(0.45 * size)), (size // 2 + int(random.integers(-6, 6)), int(0.62 * size)), dark, 3)
    cv2.ellipse(face, (size // 2, int(0.76 * size)), (int(random.uniform(12, 26)), 5), 0, 0, 360, dark, -1)
    noise = random.normal(0, 6, face.shape)
    return np.asarray(cv2.GaussianBlur((face + noise).clip(0, 255).astype(np.uint8), (5, 5), 1.2), np.uint8)


@pytest.fixture(scope="module")
def frame() -> Bytes:
    """A picture of 240 x 320 with two faces before a shaded wall."""
    wall = np.linspace(60, 120, 320)[None, :, None] + np.linspace(0, 40, 240)[:, None, None]
    picture = np.repeat(wall, 3, axis=2) + np.random.default_rng(5).normal(0, 3, (240, 320, 3))
    picture = picture.clip(0, 255).astype(np.uint8)
    picture[60:156, 40:136], picture[80:176, 190:286] = drawn_face(1), drawn_face(2)
    return picture


@pytest.fixture(scope="module")
def scanner(frame: Bytes) -> Scanner:
    grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
    return Scanner(Known((frame.tobytes(), grey.tobytes()), (grey[70:146, 50:126], grey[90:166, 200:276])))


def crop(frame: Bytes, size: int) -> Bytes:
    return np.asarray(cv2.resize(frame[60:156, 40:136], (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def grey_crop(frame: Bytes, size: int) -> Bytes:
    return np.asarray(cv2.cvtColor(crop(frame, size), cv2.COLOR_BGR2GRAY), np.uint8)


def stored(data: bytes) -> bytes:
    """The bytes of a SQLite file with `data` in one row."""
    connection = sqlite3.connect(":memory:")
    connection.execute("create table messages (payload blob)")
    connection.execute("insert into messages values (?)", (data,))
    connection.commit()
    return connection.serialize()


LEAKS: dict[str, tuple[Callable[[Bytes], bytes], str]] = {
    "a PNG file": (lambda frame: bytes(cv2.imencode(".png", frame)[1]), "encoded picture"),
    "a JPEG in base64 in JSON": (
        lambda frame: b'{"x": "' + base64.b64encode(cv2.imencode(".jpg", crop(frame, 64))[1].tobytes()) + b'"}',
        "encoded picture",
    ),
    "a small JPEG inside other bytes": (
        lambda frame: bytes(range(256)) + cv2.imencode(".jpg", crop(frame, 24))[1].tobytes(),
        "encoded picture",
    ),
    "a whole frame": (lambda frame: frame.tobytes(), "rows of a frame"),
    "eight pixels of one row": (lambda frame: b"log line " + frame[100, 60:70].tobytes() + b" end", "rows of a frame"),
    "a deflated frame in SQLite": (lambda frame: stored(zlib.compress(frame.tobytes())), "rows of a frame"),
    "a 64 px crop": (lambda frame: crop(frame, 64).tobytes(), "face by correlation"),
    "a 20 px grey crop in a log": (
        lambda frame: b"debug: " + grey_crop(frame, 20).tobytes().hex().encode() + b" done",
        "face by correlation",
    ),
    "a 48 px crop as a list of numbers": (
        lambda frame: str(grey_crop(frame, 48).ravel().tolist()).encode(),
        "face by correlation",
    ),
    "a 32 px crop row by row in messages": (
        lambda frame: b"".join(b'{"row": "%s"}\n' % base64.b64encode(row.tobytes()) for row in crop(frame, 64)),
        "face by correlation",
    ),
    "a network's float32 input": (
        lambda frame: b"tensor" + (crop(frame, 64).astype(np.float32) / 127.5 - 1).tobytes(),
        "face by correlation",
    ),
    "a network's int8 input": (
        lambda frame: (crop(frame, 64) ^ 128).tobytes(),
        "face by correlation",
    ),
    "an encrypted picture": (lambda frame: os.urandom(len(frame.tobytes()) // 8), "bytes that are no text"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_seen(name: str, frame: Bytes, scanner: Scanner) -> None:
    leak, kind = LEAKS[name]
    findings = scanner.scan("here", leak(frame))
    assert kind in {finding.kind for finding in findings}, findings


def test_messages_logs_and_stores_without_pictures_are_passed(scanner: Scanner) -> None:
    message = b'{"schema":"edge-agender.frame/1","device":"shop","seq":%d,"faces":[{"age":34.1,"gender":"female"}]}'
    messages = b"".join(b"\x32\x7e\x00\x10edge-agender/frame" + message % number for number in range(300))
    assert scanner.scan("socket", messages) == []
    assert scanner.scan("store", stored(messages[:5000])) == []
    assert scanner.scan("log", b"INFO edge_agender.delivery.mqtt.publisher: connected to localhost:1883\n" * 200) == []


def test_padding_is_no_data() -> None:
    assert list(binary_regions(bytes(100_000))) == []
    assert len(list(binary_regions(bytes(5000) + bytes(range(128, 256)) * 4 + bytes(5000)))) == 1


def test_wrappings_are_taken_off_inside_each_other() -> None:
    secret = bytes(range(256)) * 2
    wrapped = b"text " + base64.b64encode(zlib.compress(os.urandom(300) + secret).hex().encode()) + b" text"
    assert any(secret in content for _, content in unpacked(wrapped))


SENDER = """
import mmap, os, socket, sys, threading
os.write(1, b"to the log")
with open("left.bin", "wb") as file: file.write(b"to a file")
left, right = socket.socketpair()
left.sendall(b"to a socket")
left.sendmsg([b"in two ", b"parts"])
thread = threading.Thread(target=lambda: os.write(1, b" from a thread"))
thread.start(); thread.join()
memory = os.memfd_create("hidden")
os.ftruncate(memory, 4096)
mmap.mmap(memory, 4096)[0:4] = b"leak"
os.rename("left.bin", "a-name")
receiver = socket.socket(); receiver.bind(("127.0.0.1", 0)); receiver.listen()
socket.create_connection(receiver.getsockname()).sendall(b"to a peer")
"""


@pytest.fixture(scope="module")
def escaped(tmp_path_factory: pytest.TempPathFactory) -> trace.Escaped:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("traced")
    process = trace.start([sys.executable, "-c", SENDER], folder / "trace", folder, dict(os.environ))
    output, _ = process.communicate(timeout=120)
    if process.returncode != 0 and b"ptrace" in output.lower():
        pytest.skip(f"strace may not follow processes here: {output.decode().strip()}")
    assert process.returncode == 0, output
    return trace.collect(folder / "trace")


def test_everything_that_left_a_process_is_collected(escaped: trace.Escaped) -> None:
    everything = b"\n".join(escaped.channels.values())
    for text in (b"to the log from a thread", b"to a file", b"to a socketin two parts", b"to a peer", b"a-name"):
        assert text in everything
    assert any(name.endswith("left.bin") for name in escaped.opened_for_writing)
    assert any("127.0.0.1" in peer for peer in escaped.peers)
    assert any("hidden" in name for name in escaped.shared_memory)


def test_a_string_that_was_cut_short_is_no_proof() -> None:
    assert trace.strings('1, "\\x41\\x42", 2') == [b"AB"]
    with pytest.raises(trace.TraceError):
        trace.strings('1, "\\x41"..., 5')


def test_a_missing_strace_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(trace.TraceError, match="apt install strace"):
        trace.traced_command(["true"], tmp_path)


def prove(result: Path, *options: str) -> None:
    command = [sys.executable, "-m", "proofs.no_images", "--json", str(result), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    kept = read_proof(result)
    assert (kept.passed, kept.software, kept.machine) == (True, __version__, platform.node())


@pytest.mark.slow  # `make prove-no-images` is the same and runs in CI
def test_no_picture_leaves_the_daemon_and_planted_leaks_are_found(tmp_path: Path) -> None:
    prove(tmp_path / "state" / "result.json", "--seconds", "0")


@pytest.mark.slow
def test_no_picture_leaves_the_live_daemon(tmp_path: Path) -> None:
    prove(tmp_path / "result.json", "--seconds", "10")
