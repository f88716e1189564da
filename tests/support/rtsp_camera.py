"""An RTSP camera of one H.264 video: enough of RFC 2326 and RFC 6184 for a client, with the faults that tests want."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_MOST_BYTES = 1400
_CLOCK_HZ = 90_000


def nal_units(stream: bytes) -> list[bytes]:
    """The units of an Annex B stream."""
    return [unit.strip(b"\0") for unit in stream.split(b"\0\0\1") if unit.strip(b"\0")]


def access_units(stream: bytes) -> list[list[bytes]]:
    """The units of each picture; parameters and side information go before theirs."""
    pictures: list[list[bytes]] = [[]]
    for unit in nal_units(stream):
        pictures[-1].append(unit)
        if unit[0] & 0x1F in (1, 5):
            pictures.append([])
    return pictures[:-1]


def payloads(unit: bytes) -> Iterator[bytes]:
    """A unit as it is, or in fragments (FU-A)."""
    if len(unit) <= _MOST_BYTES:
        yield unit
        return
    pieces = [unit[at : at + _MOST_BYTES] for at in range(1, len(unit), _MOST_BYTES)]
    for number, piece in enumerate(pieces):
        ends = (0x80 if number == 0 else 0) | (0x40 if number == len(pieces) - 1 else 0)
        yield bytes([unit[0] & 0xE0 | 28, ends | unit[0] & 0x1F]) + piece


@dataclass
class RtspCamera:
    """Plays its pictures again and again at `rate_hz`.

    `udp`: blocked (accepted, but nothing comes), refused, or sent. `tcp`: sent or refused. `dies_after`: pictures after
    which a connection is cut.
    """

    pictures: Sequence[Sequence[bytes]]
    rate_hz: float = 15.0
    udp: str = "blocked"
    tcp: str = "sent"
    dies_after: int | None = None
    first_stamp: int = 0
    port: int = 0
    transports: list[str] = field(default_factory=list)

    def uri(self, path: str = "/cam") -> str:
        return f"rtsp://127.0.0.1:{self.port}{path}"

    @contextmanager
    def on(self) -> Iterator[RtspCamera]:
        camera, off = self, threading.Event()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    _Session(camera, self.connection, self.rfile, off).run()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = False
            block_on_close = True

        server = Server(("127.0.0.1", self.port), Handler)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            off.set()
            server.shutdown()
            thread.join()
            server.server_close()


class _Session:
    def __init__(self, camera: RtspCamera, connection: socket.socket, lines: object, off: threading.Event) -> None:
        self._camera, self._connection, self._lines, self._off = camera, connection, lines, off
        self._lock = threading.Lock()
        self._player: threading.Thread | None = None
        self._client_port: int | None = None
        self._left = threading.Event()
        connection.settimeout(0.05)

    def run(self) -> None:
        try:
            while (request := self._request()) is not None:
                self._answer(*request)
        finally:
            self._left.set()
            if self._player is not None:
                self._player.join()

    def _request(self) -> tuple[str, dict[str, str]] | None:
        data = b""
        while b"\r\n\r\n" not in data:
            if self._off.is_set() or self._left.is_set():
                return None
            try:
                chunk = self._connection.recv(4096)
            except TimeoutError:
                continue
            if not chunk:
                return None
            data += chunk
            while data.startswith(b"$") and len(data) >= 4:  # the client's RTCP
                data = data[4 + int.from_bytes(data[2:4], "big") :]
        head, *lines = data.split(b"\r\n\r\n")[0].decode().split("\r\n")
        return head.split()[0], dict(line.split(": ", 1) for line in lines if ": " in line)

    def _answer(self, method: str, headers: dict[str, str]) -> None:
        more, body, status = "", "", "200 OK"
        if method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            body += "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
            more = "Content-Type: application/sdp\r\n"
        elif method == "SETUP":
            transport = headers["Transport"]
            interleaved = "TCP" in transport
            self._camera.transports.append("tcp" if interleaved else "udp")
            if (self._camera.tcp if interleaved else self._camera.udp) == "refused":
                status = "461 Unsupported Transport"
            elif not interleaved:
                self._client_port = int(transport.split("client_port=")[1].split("-")[0])
                transport += ";server_port=50000-50001"
            more = f"Transport: {transport}\r\n"
        more += (
            f"Session: 1\r\nContent-Length: {len(body)}\r\n"
            if method != "OPTIONS"
            else "Public: DESCRIBE, SETUP, PLAY\r\n"
        )
        self._send(f"RTSP/1.0 {status}\r\nCSeq: {headers['CSeq']}\r\n{more}\r\n{body}".encode())
        if method == "PLAY":
            self._player = threading.Thread(target=self._play)
            self._player.start()

    def _send(self, data: bytes) -> None:
        with self._lock:
            self._connection.settimeout(None)
            self._connection.sendall(data)
            self._connection.settimeout(0.05)

    def _play(self) -> None:
        camera, sequence = self._camera, itertools.count()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with udp, suppress(OSError):
            for number in itertools.count():
                stamp = (camera.first_stamp + round(number * _CLOCK_HZ / camera.rate_hz)) & 0xFFFFFFFF
                units = camera.pictures[number % len(camera.pictures)]
                packets = [piece for unit in units for piece in payloads(unit)]
                for at, payload in enumerate(packets):
                    marker = 0x80 if at == len(packets) - 1 else 0
                    place = next(sequence) & 0xFFFF
                    packet = (
                        bytes([0x80, 96 | marker])
                        + place.to_bytes(2, "big")
                        + stamp.to_bytes(4, "big")
                        + b"\0\0\0\1"
                        + payload
                    )
                    if self._client_port is None:
                        self._send(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                    elif camera.udp == "sent":
                        udp.sendto(packet, ("127.0.0.1", self._client_port))
                if number + 1 == camera.dies_after:
                    break
                if self._off.wait(1 / camera.rate_hz) or self._left.is_set():
                    break
        self._left.set()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
