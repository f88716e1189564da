"""RTSP, HLS and what else comes over a network: firewalls, bursts, cameras that die and come back."""

from __future__ import annotations

import io
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agender.capture.sources import Source, open_source
from edge_agender.capture.sources import reconnect as module
from edge_agender.config.settings import SourceConfig
from edge_agender.imaging.frame import Frame
from tests.support.broker import wait_until
from tests.support.rtsp_camera import RtspCamera, access_units
from tests.support.videos import RATE_HZ, SIZE, people, write
from tests.support.web_camera import Request, WebServer, head


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.05)


@contextmanager
def watched(uri: str, **options: Any) -> Iterator[Source]:
    stop = threading.Event()
    video = {"uri": uri, "timeout_s": 2.0, "reconnect_max_s": 0.1} | options.pop("opencv", {})
    config = SourceConfig.model_validate({"kind": "opencv", "rate_hz": 30, "opencv": video, **options})
    with open_source(config, stop) as source:
        yield source
        stop.set()


def read(source: Source, count: int) -> list[Frame]:
    frames = []
    for _ in range(count):
        frame = source.read()
        assert frame is not None
        frames.append(Frame(frame.sequence, frame.captured_s, frame.utc_s, frame.small.copy(), frame.full.copy()))
        frame.release()
    return frames


@cache
def coded(count: int = 30) -> list[list[bytes]]:
    """The demo's people in H.264, a picture's units each."""
    file = io.BytesIO()
    options = {"bf": "0", "g": "10", "x264-params": "annexb=1:repeat-headers=1:slices=1:sliced-threads=0"}
    write(file, people(count), options=options, container={"format": "h264"})
    return access_units(file.getvalue())


def assert_people(frame: Frame) -> None:
    assert frame.full.shape[1::-1] == SIZE
    assert min(float(np.abs(frame.full.astype(int) - each).mean()) for each in people(30)) < 6


@pytest.mark.parametrize(
    ("preferred", "tcp", "udp"),
    [
        ("tcp", "sent", "blocked"),
        ("tcp", "refused", "sent"),
        ("udp", "sent", "sent"),
        pytest.param("udp", "sent", "blocked", marks=pytest.mark.slow),
        pytest.param("udp", "sent", "refused", marks=pytest.mark.slow),
    ],
)
def test_rtsp_comes_through_whichever_way_is_open(preferred: str, tcp: str, udp: str) -> None:
    with RtspCamera(coded(), tcp=tcp, udp=udp).on() as camera:
        with watched(camera.uri(), opencv={"rtsp_transport": preferred}) as source:
            assert_people(read(source, 3)[-1])
        assert camera.transports[0] == preferred


def test_rtsp_goes_over_tcp_by_default() -> None:
    with RtspCamera(coded()).on() as camera, watched(camera.uri()) as source:
        read(source, 2)
        # On a machine that is too busy to keep up it may be opened again.
        assert set(camera.transports) == {"tcp"}


@pytest.mark.slow
def test_a_camera_that_dies_in_mid_stream_is_reached_again_whatever_its_clock_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    camera = RtspCamera(coded(), dies_after=20, first_stamp=0xFFFF_0000)
    with camera.on(), watched(camera.uri()) as source:
        before = read(source, 5)
        camera.first_stamp = 12345  # it starts again, and so does its clock
        wait_until(lambda: read(source, 1) and len(camera.transports) >= 3)
        after = read(source, 5)
    times = [frame.captured_s for frame in (*before, *after)]
    assert times == sorted(times)
    assert source.restarts >= 2
    assert "frames arrive again" in caplog.text
    assert "/cam" not in caplog.text


@pytest.mark.slow
def test_stamps_of_32_bits_that_begin_anew_cost_no_time() -> None:
    # 90 kHz: it begins anew after ten pictures.
    with RtspCamera(coded(), first_stamp=0xFFFF_FFFF - 60_000).on() as camera, watched(camera.uri()) as source:
        times = [frame.captured_s for frame in read(source, 40)]
    assert all(0 < step < 2.0 for step in np.diff(times))


def test_stopping_does_not_wait_for_a_camera_that_says_nothing() -> None:
    with RtspCamera([[b""]], rate_hz=0.001).on() as camera, watched(camera.uri(), opencv={"timeout_s": 20}) as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: camera.transports)
        source._stop.set()  # type: ignore[attr-defined]
        reader.join(10)
        assert not reader.is_alive()


class LiveHls:
    """A live stream in segments of a second, of which the newest three are listed."""

    def __init__(self, folder: Path, seconds: int) -> None:
        options = {"g": str(RATE_HZ), "bf": "0"}
        self._segments = []
        for number in range(seconds):
            places = range(number * RATE_HZ, (number + 1) * RATE_HZ)
            stamps_s, pictures = [place / RATE_HZ for place in places], [people(30)[place % 30] for place in places]
            copied = {"options": {"mpegts_copyts": "1"}}
            path = write(folder / "s.ts", pictures, stamps_s=stamps_s, options=options, container=copied)
            self._segments.append(path.read_bytes())
        self._began_s = time.monotonic()

    def answer(self, request: Request) -> None:
        if request.path.endswith(".m3u8"):
            newest = 3 + int(time.monotonic() - self._began_s)
            lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{newest - 2}"]
            lines += [f"#EXTINF:1.000,\n{number}.ts" for number in range(newest - 2, newest + 1)]
            body = "\n".join([*lines, ""]).encode()
        else:
            body = self._segments[int(request.path.strip("/").split(".")[0])]
        request.send(head("application/octet-stream", f"Content-Length: {len(body)}") + body)


def test_live_hls_is_played_at_its_own_pace(tmp_path: Path) -> None:
    hls = LiveHls(tmp_path, 40)
    with WebServer(hls.answer).on() as server, watched(server.uri("/cam.m3u8")) as source:
        times = [frame.captured_s for frame in read(source, 75)]
    steps = np.diff(times)
    assert steps.max() < 0.9  # none waits for the next segment
    assert float(np.median(steps)) == pytest.approx(1 / RATE_HZ, rel=0.1)


LIVE: dict[str, tuple[dict[str, str], bytes, int]] = {
    "mp4": ({"movflags": "frag_keyframe+empty_moov+default_base_moof"}, b"moof", 4),
    "matroska": ({"live": "1"}, b"\x1f\x43\xb6\x75", 0),
    "flv": ({}, b"", 0),
}


@pytest.mark.parametrize("kind", ["matroska", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("flv", "mp4"))])
def test_a_live_stream_over_http_holds_the_rate_that_is_asked_for(kind: str, tmp_path: Path) -> None:
    seconds, (options, begins, before) = 8, LIVE[kind]
    container = {"format": kind, "options": options}
    pictures = people(30) * (seconds * RATE_HZ // 30)
    data = write(tmp_path / "a", pictures, options={"g": "15", "bf": "0"}, container=container).read_bytes()
    at = [found.start() - before for found in re.finditer(re.escape(begins), data)] if begins else []
    at = at or list(range(500, len(data), len(data) // seconds))
    parts = [data[start:end] for start, end in pairwise([0, *at, len(data)])]

    def answer(request: Request) -> None:
        request.send(head(f"video/{kind}"))
        for part in parts:
            request.send(part)
            if request.left.wait(seconds / (len(parts) - 1)):
                return

    with WebServer(answer).on() as server, watched(server.uri("/live"), rate_hz=5) as source:
        times = [frame.captured_s for frame in read(source, 12)]
    assert (times[-1] - times[0]) / 11 == pytest.approx(0.2, rel=0.3)


def test_a_recording_over_http_keeps_all_of_its_pictures_and_ends(tmp_path: Path) -> None:
    faststart = {"options": {"movflags": "faststart"}}
    data = write(tmp_path / "a.mp4", people(30), options={"bf": "0"}, container=faststart).read_bytes()

    def answer(request: Request) -> None:
        request.send(head("video/mp4", f"Content-Length: {len(data)}", "Accept-Ranges: none") + data)

    with WebServer(answer).on() as server, watched(server.uri("/a.mp4"), rate_hz=5) as source:
        frames = read(source, 30)
        assert source.read() is None
    assert np.diff([frame.captured_s for frame in frames]) == pytest.approx(1 / RATE_HZ, abs=0.02)


@pytest.mark.parametrize("where", ["file:///etc/hostname", "/etc/hostname"])
def test_a_play_list_cannot_make_the_daemon_read_files(where: str, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.ts", people(15))
    body = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{where.replace('/etc/hostname', str(secret))}\n".encode()

    def answer(request: Request) -> None:
        if request.path == "/a.m3u8":
            request.send(head("application/vnd.apple.mpegurl", f"Content-Length: {len(body)}") + body)
        else:
            request.send(head("text/plain", "Content-Length: 0", status="404 Not Found"))

    with WebServer(answer).on() as server, watched(server.uri("/a.m3u8")) as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        wait_until(lambda: source.problem)
        source._stop.set()  # type: ignore[attr-defined]
        reader.join(20)
        assert not reader.is_alive()


def test_no_address_reaches_the_log_whatever_fails(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for address in (
        "rtsp://admin:Secret99@127.0.0.1:1/cam",
        "rtsp://127.0.0.1:1/user=admin_password=Secret99_channel=1_stream=0.sdp",
        "http://127.0.0.1:1/video;token=Secret99",
        "https://127.0.0.1:1/snap.jpg?user=admin&pwd=Secret99#Secret99",
        "rtmp://127.0.0.1:1/app/Secret99",
        "rtsp://admin:Sec@ret99@127.0.0.1:1/cam",
        "rtsp://admin:Secret99/@127.0.0.1:1/cam",
        "rtsp://[::1:1/Secret99",
        "nonsense://127.0.0.1:1/Secret99",
    ):
        with watched(address) as source:
            reader = threading.Thread(target=source.read)
            reader.start()
            wait_until(lambda source=source: source.problem, 20)
            source._stop.set()  # type: ignore[attr-defined]
            reader.join(20)
            assert "ret99" not in (source.problem or "")
    assert "ret99" not in caplog.text
    captured = capfd.readouterr()
    assert "ret99" not in captured.out + captured.err
