"""MJPEG as cameras write it, snapshots, and what else is behind http: who asks, how often, and with which password."""

from __future__ import annotations

import base64
import hashlib
import itertools
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from edge_agender.capture.sources import Source, open_source
from edge_agender.capture.sources import reconnect as module
from edge_agender.capture.sources.jpegs import JpegParser
from edge_agender.capture.sources.web import MAX_SNAPSHOT_BYTES
from edge_agender.config.settings import OpencvConfig, SourceConfig
from edge_agender.errors import MediaError
from tests.support.broker import wait_until
from tests.support.network_camera import jpeg
from tests.support.web_camera import Request, WebServer, head

RATE_HZ = 60.0


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.02)


def shade(number: int) -> bytes:
    """Picture number 0 to 9, known again by its light; with a thumbnail that ends as a picture does."""
    picture = jpeg(np.full((48, 64, 3), 20 + 20 * number, np.uint8))
    thumbnail = b"Exif\0\0" + picture
    return picture[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + picture[2:]


PICTURES = [shade(number) for number in range(5)]


@contextmanager
def watched(uri: str, rate_hz: float = RATE_HZ) -> Iterator[Source]:
    stop = threading.Event()
    config = SourceConfig(
        kind="opencv", rate_hz=rate_hz, opencv=OpencvConfig(uri=uri, timeout_s=5.0, reconnect_max_s=0.05)
    )
    with open_source(config, stop) as source:
        yield source
        stop.set()


def numbers(source: Source, wanted: set[int]) -> None:
    """Read until these pictures have been seen."""
    while wanted:
        frame = source.read()
        assert frame is not None
        wanted = wanted - {round((float(frame.full.mean()) - 20) / 20)}
        frame.release()


Part = Callable[[bytes], bytes]
PARTS: dict[str, tuple[str, Part]] = {
    "as the standard says": (
        "multipart/x-mixed-replace; boundary=b",
        lambda p: b"\r\n--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s" % (len(p), p),
    ),
    "boundary behind the part": (
        "multipart/x-mixed-replace;boundary=--b",
        lambda p: b"Content-Type: image/jpeg\r\n\r\n%s\r\n--b\r\n" % p,
    ),
    "image/jpg, parameters, quotes": (
        'multipart/x-mixed-replace; charset=utf-8; boundary="my b"; foo=1',
        lambda p: (
            b"--my b\r\nContent-type: image/jpg; q=1\r\nX-Timestamp: 1.5\r\nContent-length:%d\r\n\r\n%s\r\n"
            % (len(p), p)
        ),
    ),
    "lines that end in LF": (
        "multipart/x-mixed-replace; boundary=b",
        lambda p: b"--b\nContent-Type: image/jpeg\nContent-Length: %d\n\n%s\n" % (len(p), p),
    ),
    "no length": ("multipart/x-mixed-replace; boundary=b", lambda p: b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + p),
    "a length too small": (
        "multipart/x-mixed-replace; boundary=b",
        lambda p: b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: 10\r\n\r\n%s\r\n" % p,
    ),
    "a length too large": (
        "multipart/x-mixed-replace; boundary=b",
        lambda p: b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: 99999999\r\n\r\n%s\r\n" % p,
    ),
    "another boundary than announced": (
        "multipart/x-mixed-replace; boundary=other",
        lambda p: b"--b\r\nContent-Type: image/jpeg\r\n\r\n%s\r\n" % p,
    ),
    "no boundary announced": ("multipart/x-mixed-replace", lambda p: b"--b\r\n\r\n%s\r\n" % p),
    "said to be a picture": ("image/jpeg", lambda p: p),
    "said to be data": ("application/octet-stream", lambda p: b"--b\r\nContent-Type: image/jpeg\r\n\r\n%s\r\n" % p),
    "filling between": (
        "multipart/x-mixed-replace; boundary=b",
        lambda p: b"--b\r\n\r\n%s" % p + bytes(999) + b"\xff\xd9",
    ),
}


@pytest.mark.parametrize("kind", sorted(PARTS))
@pytest.mark.parametrize("way", ["plain", "chunked", "torn"])
def test_mjpeg_as_cameras_write_it(kind: str, way: str) -> None:
    content_type, part = PARTS[kind]

    def answer(request: Request) -> None:
        request.send(head(content_type, *(["Transfer-Encoding: chunked"] if way == "chunked" else [])))
        for picture in itertools.cycle(PICTURES):
            data = part(picture)
            if way == "chunked":
                data = b"%x\r\n%s\r\n" % (len(data), data)
            for piece in [data] if way != "torn" else [data[:7], data[7:1000], data[1000:-3], data[-3:]]:
                request.send(piece)
            if request.left.wait(0.02):
                return

    with WebServer(answer).on() as server, watched(server.uri()) as source:
        numbers(source, {0, 1, 2, 3, 4})
        assert len(server.requests) == 1


def test_a_picture_that_was_cut_off_costs_no_other() -> None:
    parser = JpegParser()
    noise = jpeg(np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8))
    torn = noise[: len(noise) * 9 // 10]
    sent = b"--b\r\n\r\n".join([b"", PICTURES[1], torn, PICTURES[2]])
    found = [picture for at in range(0, len(sent), 97) for picture in parser.feed(sent[at : at + 97])]
    assert found == [PICTURES[1], PICTURES[2]]


def test_no_part_is_larger_than_its_limit() -> None:
    parser = JpegParser(max_bytes=100_000)
    noise = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xda\x00\x04ab" + bytes(1000)

    def fed() -> None:
        for _ in range(200):
            list(parser.feed(noise if not parser._data else bytes(1000)))

    with pytest.raises(MediaError, match="a picture of more than"):
        fed()
    assert len(parser._data) <= 102_000


def test_what_is_no_picture_is_not_kept() -> None:
    parser = JpegParser()
    for _ in range(1000):
        assert list(parser.feed(bytes(10_000))) == []
    assert len(parser._data) < 10


def test_a_picture_bomb_in_mjpeg_is_refused_before_it_is_decoded() -> None:
    bomb = bytearray(jpeg(np.zeros((16, 16, 3), np.uint8)))
    at = bomb.index(b"\xff\xc0")
    bomb[at + 5 : at + 9] = (20_000).to_bytes(2, "big") * 2

    def answer(request: Request) -> None:
        request.send(head("multipart/x-mixed-replace; boundary=b"))
        while not request.left.wait(0.02):
            request.send(PARTS["no length"][1](bytes(bomb)))

    with WebServer(answer).on() as server, watched(server.uri()) as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: source.problem)
        assert "pictures of 20000 x 20000 pixels, more than the 15 million" in (source.problem or "")
        source._stop.set()  # type: ignore[attr-defined]
        reader.join()


def snapshots(request: Request) -> None:
    request.send(head("image/jpeg", f"Content-Length: {len(PICTURES[1])}") + PICTURES[1])


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "no length", "one part"])
def test_a_snapshot_is_asked_for_again_and_again(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    picture = cv2.imdecode(np.frombuffer(PICTURES[1], np.uint8), cv2.IMREAD_COLOR)

    def answer(request: Request) -> None:
        if kind in ("png", "webp"):
            data = bytes(cv2.imencode(f".{kind}", picture)[1])
            request.send(head(f"image/{kind}", f"Content-Length: {len(data)}") + data)
        elif kind == "one part":
            request.send(head("multipart/x-mixed-replace; boundary=b") + PARTS["as the standard says"][1](PICTURES[1]))
        elif kind == "no length":
            request.send(head("image/jpeg") + PICTURES[1])
        else:
            snapshots(request)

    with WebServer(answer).on() as server, watched(server.uri("/snap")) as source:
        for _ in range(8):
            numbers(source, {1})
        assert source.problem is None
        assert source.restarts == 0
    assert len(caplog.records) == 1, caplog.messages  # it says once that it connects


def test_a_snapshot_is_asked_for_as_often_as_pictures_are_wanted() -> None:
    rate_hz, seconds = 5.0, 2.0
    with WebServer(snapshots).on() as server, watched(server.uri("/snap.jpg"), rate_hz) as source:
        began_s = time.monotonic()
        while time.monotonic() - began_s < seconds:
            numbers(source, {1})
        # Never more often, on however slow a machine; the first is asked for twice: what is there, and the picture.
        assert len(server.requests) <= rate_hz * (time.monotonic() - began_s) + 2


def test_a_picture_without_end_is_not_read_into_memory() -> None:
    def answer(request: Request) -> None:
        request.send(head("image/png") + b"\x89PNG\r\n\x1a\n")
        while not request.left.is_set():
            request.send(bytes(1_000_000))

    with WebServer(answer).on() as server, watched(server.uri()) as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: source.problem)
        assert f"a picture of more than {MAX_SNAPSHOT_BYTES // 10**6} MB" in (source.problem or "")
        source._stop.set()  # type: ignore[attr-defined]
        reader.join()


USER, PASSWORD = "admin", "Secret99"


def basic(request: Request) -> bool:
    return request.headers.get("Authorization") == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def digest(request: Request) -> bool:
    words = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("Authorization", "")))
    if "response" not in words:
        return False
    one = hashlib.md5(f"{USER}:cam:{PASSWORD}".encode()).hexdigest()
    two = hashlib.md5(f"GET:{words['uri']}".encode()).hexdigest()
    parts = [one, words["nonce"], words["nc"], words["cnonce"], words["qop"], two]
    return words["response"] == hashlib.md5(":".join(parts).encode()).hexdigest()


CHALLENGES = {
    "basic": ['WWW-Authenticate: Basic realm="cam"'],
    "digest": ['WWW-Authenticate: Digest realm="cam", nonce="n1", qop="auth", algorithm=MD5'],
    "both": [
        'WWW-Authenticate: Digest realm="cam", nonce="n1", qop="auth", algorithm=MD5',
        'WWW-Authenticate: Basic realm="cam"',
    ],
}


@pytest.mark.parametrize("way", sorted(CHALLENGES))
def test_a_password_is_given_the_way_that_is_asked_for(way: str) -> None:
    def answer(request: Request) -> None:
        if basic(request) if way == "basic" else digest(request):
            snapshots(request)
        else:
            request.send(head("text/html", *CHALLENGES[way], "Content-Length: 0", status="401 Unauthorized"))

    with WebServer(answer).on() as server, watched(server.uri("/s.jpg", f"{USER}:{PASSWORD}@")) as source:
        for _ in range(4):
            numbers(source, {1})
        given = [request.headers.get("Authorization", "") for request in server.requests]
        if way == "basic":  # asked for once
            assert given.count("") == 1
        else:
            assert not any(word.startswith("Basic") for word in given)


def test_credentials_do_not_follow_to_another_host() -> None:
    def elsewhere(request: Request) -> None:
        if "Authorization" in request.headers:
            snapshots(request)
        else:
            request.send(head("text/html", *CHALLENGES["basic"], "Content-Length: 0", status="401 Unauthorized"))

    with WebServer(elsewhere).on() as other:

        def answer(request: Request) -> None:
            if basic(request):
                where = f"Location: {other.uri('/x')}"
                request.send(head("text/html", where, "Content-Length: 0", status="302 Found"))
            else:
                request.send(head("text/html", *CHALLENGES["basic"], "Content-Length: 0", status="401 Unauthorized"))

        with WebServer(answer).on() as server, watched(server.uri("/s.jpg", f"{USER}:{PASSWORD}@")) as source:
            reader = threading.Thread(target=source.read)
            reader.start()
            wait_until(lambda: len(other.requests) >= 2)
            source._stop.set()  # type: ignore[attr-defined]
            reader.join()
        assert all("Authorization" not in request.headers for request in other.requests)


def test_a_redirection_is_followed_but_never_to_a_file() -> None:
    def answer(request: Request) -> None:
        to = {"/a": "/b", "/file": "file:///etc/hostname"}.get(request.path)
        if to is None:
            snapshots(request)
        else:
            request.send(head("text/html", f"Location: {to}", "Content-Length: 0", status="302 Found"))

    with WebServer(answer).on() as server:
        with watched(server.uri("/a")) as source:
            numbers(source, {1})
        with watched(server.uri("/file")) as source:
            reader = threading.Thread(target=source.read)
            reader.start()
            wait_until(lambda: source.problem)
            assert "302" in (source.problem or "")
            source._stop.set()  # type: ignore[attr-defined]
            reader.join()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("401 Unauthorized", "it wants another user name or password"),
        ("403 Forbidden", "it says 403 Forbidden"),
        ("404 Not Found", "it says 404 Not Found: see its web page for the right path"),
        ("503 Service Unavailable", "it says 503 Service Unavailable"),
    ],
)
def test_a_camera_that_refuses_is_asked_again_and_says_why(
    status: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refuses = threading.Event()
    refuses.set()

    def answer(request: Request) -> None:
        if refuses.is_set():
            challenge = CHALLENGES["basic"] if status.startswith("401") else []
            request.send(head("text/html", *challenge, "Content-Length: 0", status=status))
        else:
            snapshots(request)

    path = "/user=admin_password=Secret99/token;Secret99?pw=Secret99#Secret99"
    with WebServer(answer).on() as server, watched(server.uri(path, f"{USER}:{PASSWORD}@")) as source:
        reader = threading.Thread(target=lambda: numbers(source, {1}))
        reader.start()
        wait_until(lambda: source.problem)
        assert words in (source.problem or "")
        assert (source.problem or "").startswith("http://127.0.0.1: ")
        refuses.clear()
        reader.join(60)
        assert not reader.is_alive()
        assert source.problem is None
    assert PASSWORD not in caplog.text


def test_a_web_page_is_no_camera() -> None:
    def answer(request: Request) -> None:
        request.send(head("text/html") + b"\r\n<!DOCTYPE html><html>Please log in</html>" + bytes(3000))

    with WebServer(answer).on() as server, watched(server.uri()) as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: source.problem)
        assert "it sends a web page, no picture" in (source.problem or "")
        source._stop.set()  # type: ignore[attr-defined]
        reader.join()
