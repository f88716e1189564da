"""A connection of which the MQTT library never reads a packet larger than a limit, whatever the broker sends.

paho collects a whole packet, up to 256 MB of it, before anyone is asked. MQTT 5 lets a client announce a limit;
MQTT 3.1.1 knows none, and a broker may ignore it. So the bytes are looked at between the socket and paho.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

from paho.mqtt.client import Client, MQTTv5

PUBLISH, PING_RESPONSE = 3, b"\xd0\x00"
# What is read from the socket at once, and what is dropped of a large packet before the thread is given back.
CHUNK_BYTES, DROP_BYTES = 16_384, 1 << 20
# Enough of the first answer to know who answers: a CONNACK, a TLS alert, a web server.
FIRST_BYTES = 16


class BoundedClient(Client):
    """paho's client over a BoundedSocket, which remembers how the connection began and ended."""

    limit_bytes = 8192
    stream: BoundedSocket | None = None

    @property
    def first(self) -> bytes:
        """The first bytes received."""
        return self.stream.first if self.stream else b""

    @property
    def error(self) -> OSError | None:
        """What ended the connection, None where it is open or the broker closed it."""
        return self.stream.error if self.stream else None

    def hang_up(self) -> None:
        """End the connection from another thread than the one that reads it: that one finds it at its end."""
        if self.stream is not None:
            self.stream.shutdown()

    def ping_at_least_every(self, seconds: int) -> None:
        """For a broker that wants no pings (Server Keep Alive 0): else its silence would never be noticed."""
        self._keepalive = self._keepalive or seconds

    def _create_socket(self) -> BoundedSocket:
        sock = super()._create_socket()
        assert isinstance(sock, socket.socket)
        self.stream = BoundedSocket(sock, self.limit_bytes, mqtt_5=self.protocol == MQTTv5)
        return self.stream


class OversizedError(OSError):
    """The broker sends what no broker may, and more of it than is read."""


class BoundedSocket:
    """Hands on what a socket receives, with every PUBLISH above the limit replaced by one that is just too large.

    Its topic and number are kept and its payload is `limit_bytes` of zeros, so that it is acknowledged, counted and
    refused like any command that is too large. Meanwhile answers to pings are made up: the broker is busy, not dead.
    Other packets above the limit end the connection (OversizedError).
    """

    def __init__(self, sock: socket.socket, limit_bytes: int, *, mqtt_5: bool) -> None:
        self._sock, self._limit, self._mqtt_5 = sock, limit_bytes, mqtt_5
        self._raw, self._ready = bytearray(), bytearray()
        self._pass = self._drop = 0
        self.first = b""
        self.error: OSError | None = None
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Small packets must not wait for the acknowledgement of the one before.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" at the end; raise BlockingIOError or OSError as a socket does."""
        try:
            return self._receive(size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.error = error
            raise

    def _receive(self, size: int) -> bytes:
        dropped = 0
        while not self._ready:
            if dropped > DROP_BYTES:
                return self._alive()
            try:
                data = self._sock.recv(CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                if dropped:
                    return self._alive()
                raise
            if not data:
                return b""
            self.first = (self.first + data)[:FIRST_BYTES] if len(self.first) < FIRST_BYTES else self.first
            before = self._drop
            self._take(data)
            dropped += max(before - self._drop, 0)
        return self._hand_out(size)

    def _alive(self) -> bytes:
        self._ready += PING_RESPONSE
        return self._hand_out(1)

    def _hand_out(self, size: int) -> bytes:
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    # -- the bytes, packet by packet

    def _take(self, data: bytes) -> None:
        self._raw += data
        while self._raw and (self._skip() or self._begin()):
            pass

    def _skip(self) -> bool:
        """Hand on, or drop, what belongs to the packet that has begun; False where none has."""
        count = min(self._pass or self._drop, len(self._raw))
        if not count:
            return False
        if self._pass:
            self._ready += self._raw[:count]
            self._pass -= count
        else:
            self._drop -= count
        del self._raw[:count]
        return True

    def _begin(self) -> bool:
        """Decide on the next packet; False until enough of it is there."""
        size, head = _remaining_length(self._raw)
        if size is None:
            return False
        kind = self._raw[0] >> 4
        if kind == PUBLISH and self._raw[0] & 0x04:
            # paho would keep every one of these until the broker releases it.
            raise OversizedError("a message of QoS 2, which nobody asked for")
        if head + size <= self._limit:
            self._pass = head + size
            return True
        if kind != PUBLISH:
            raise OversizedError(f"a packet of {size} bytes that is no message")
        return self._replace(size, head)

    def _replace(self, size: int, head: int) -> bool:
        """Put a message that is just too large in the place of one that is much too large."""
        numbered = self._raw[0] & 0x06 != 0
        if len(self._raw) < head + 2:
            return False
        end = head + 2 + int.from_bytes(self._raw[head : head + 2], "big") + (2 if numbered else 0)
        if end - head > size or end > self._limit:
            raise OversizedError("a message whose topic is longer than any topic here")
        if len(self._raw) < end:
            return False
        body = bytes(self._raw[head:end]) + (b"\0" if self._mqtt_5 else b"") + bytes(self._limit)
        self._ready += self._raw[:1] + _packed(len(body)) + body
        del self._raw[:end]
        self._drop = size - (end - head)
        return True

    # -- the rest of what paho asks of a socket

    def send(self, data: bytes | bytearray) -> int:
        return self._sock.send(data)

    def pending(self) -> int:
        """Return how many bytes can be read though the descriptor is not ready."""
        return len(self._ready) + (self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0)

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)

    def shutdown(self) -> None:
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()


def _remaining_length(packet: bytearray) -> tuple[int | None, int]:
    """Return the length that a packet's fixed header tells and that header's own; (None, 0) while it is not whole."""
    size = 0
    for index, byte in enumerate(packet[1:5]):
        size |= (byte & 127) << (7 * index)
        if byte < 128:
            return size, index + 2
    if len(packet) >= 5:
        raise OversizedError("a packet of no possible length")
    return None, 0


def _packed(size: int) -> bytes:
    packed = bytearray()
    while True:
        size, byte = size >> 7, size & 127
        packed.append(byte | (128 if size else 0))
        if not size:
            return bytes(packed)
