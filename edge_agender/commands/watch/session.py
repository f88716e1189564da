"""`edge-agender watch`: what one device or a fleet says, live. Subscribes only; publishes nothing.

One thread does all: it connects, reads what came, draws at most four times a second, and tries again after a loss.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import time
from argparse import Namespace
from collections import deque
from contextlib import suppress
from typing import Any, TextIO

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.commands.terminal import clean, is_terminal, wants_colours
from edge_agender.commands.watch.fleet import KINDS, DeviceState, Fleet
from edge_agender.commands.watch.view import NOTHING_YET, Screen, json_line, plain_line, table
from edge_agender.common.backoff import Backoff
from edge_agender.common.once import Once
from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt import connection as broker
from edge_agender.delivery.mqtt.bounded import BoundedClient
from edge_agender.delivery.mqtt.explain import Ending, explain, explain_ending, explain_refusal
from edge_agender.errors import BrokerError, CredentialError, EdgeAgenderError

log = logging.getLogger(__name__)

REDRAW_S = 0.25
TURN_S = 0.1
# The broker hands out what it keeps within moments, and a status is always kept.
SILENCE_S = 3.0
RETRY_MIN_S, RETRY_MAX_S = 1.0, 10.0
ALTERNATE, ORDINARY = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def run_watch(options: Namespace, config: MqttConfig) -> int:
    """Watch until Ctrl-C, --count changes or --seconds; raise CredentialError where the broker does not let us read."""
    stream = sys.stdout
    out = _Terminal(stream) if is_terminal(stream) and not options.json else _Lines(stream, options.json)
    watch = _Watch(config, options.device, out, options.count, options.seconds)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            watch.run()
    finally:
        out.close()
        signal.signal(signal.SIGTERM, before)
    return 0


class _Lines:
    """One line a change, for a pipe or a file. What the connection does goes to stderr."""

    def __init__(self, stream: TextIO, as_json: bool) -> None:
        self._stream, self._line = stream, json_line if as_json else plain_line

    def changed(self, device: DeviceState, now_s: float) -> None:
        self._stream.write(self._line(device, now_s, time.time()) + "\n")
        self._stream.flush()

    def draw(self, fleet: Fleet, headline: str, now_s: float) -> None:
        """Nothing: lines are not redrawn."""

    def connection(self, text: str) -> None:
        sys.stderr.write(f"edge-agender: {text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        pass


class _Terminal:
    """A table redrawn in place on the alternate screen; the last one is left on the ordinary one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._size = (0, 0)
        self._lines: list[str] = []
        stream.write(ALTERNATE)

    def changed(self, device: DeviceState, now_s: float) -> None:
        """Nothing: the next drawing shows it."""

    def draw(self, fleet: Fleet, headline: str, now_s: float) -> None:
        size = os.get_terminal_size(self._stream.fileno())
        # Some terminals say 0 before they know.
        columns, rows = size.columns or 80, size.lines or 24
        lines = table(fleet.devices(), headline, now_s, Screen(columns, rows, wants_colours(self._stream)))
        if lines == self._lines and self._size == (columns, rows):
            return
        wipe = "\x1b[2J" if self._size != (columns, rows) else ""
        self._lines, self._size = lines, (columns, rows)
        # No line break after the last line: on a full screen it would scroll the first one away.
        self._stream.write(wipe + "\x1b[H" + "\r\n".join(line + "\x1b[K" for line in lines) + "\x1b[J")
        self._stream.flush()

    def connection(self, text: str) -> None:
        """Nothing: it stands in the headline."""

    def close(self) -> None:
        with suppress(OSError):
            self._stream.write(ORDINARY + "".join(line + "\n" for line in self._lines))
            self._stream.flush()


class _Watch:
    def __init__(
        self, config: MqttConfig, device: str, out: _Lines | _Terminal, count: int | None, seconds: float | None
    ) -> None:
        self._brokers, self._out = deque(config.brokers), out
        self._fleet = Fleet(config.prefix)
        # Never the device's own client id: the broker would throw the device out.
        self._name = f"edge-agender-watch-{secrets.token_hex(4)}"
        self._topics = [f"{config.prefix}/{device}/{kind}" for kind in KINDS]
        self._left = count
        self._ends_s = time.monotonic() + seconds if seconds is not None else float("inf")
        self._backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        self._end: EdgeAgenderError | None = None
        self._refused: EdgeAgenderError | None = None
        self._answered = self._ever = False
        self._once = Once(log)
        self._shown: dict[str, tuple[object, ...]] = {}
        self._headline = f"connecting to {self._where} ..."
        self._drawn_s = 0.0
        self._silent_until_s: float | None = None

    @property
    def _config(self) -> MqttConfig:
        """The broker of the present connection, or of the next attempt."""
        return self._brokers[0]

    @property
    def _where(self) -> str:
        return self._config.address

    def run(self) -> None:
        while not self._over():
            self._draw(at_once=True)
            try:
                self._session()
            except CredentialError as error:
                # A wrong password does not correct itself; one that worked before may, when the broker was changed.
                if not self._ever or self._refused is not None:
                    raise
                self._lost(error)
            except BrokerError as error:
                self._lost(error)
        self._draw(at_once=True)

    def _session(self) -> None:
        self._end, self._answered = None, False
        client = self._client()
        try:
            broker.connect(client, self._config)
        except (OSError, ValueError) as error:
            raise explain(error, self._config) from None
        due_s = time.monotonic() + broker.CONNECT_TIMEOUT_S
        try:
            while not self._over() and self._end is None:
                if client.loop(TURN_S) != 0 and self._end is None:
                    self._end = self._explain_ending(client)
                if not self._answered and time.monotonic() > due_s:
                    raise self._explain_ending(client, silent=True)
                self._report_silence()
                self._draw()
        finally:
            client.disconnect()
        if self._end is not None:
            raise self._end

    def _client(self) -> BoundedClient:
        client = broker.new_client(self._config, self._name, broker.MAX_MESSAGE_PACKET_BYTES)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._heard
        return client

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            self._end = explain_refusal(reason, properties, self._config, self._name)
            return
        self._answered = self._ever = True
        self._backoff.reset()
        if self._once:
            self._out.connection(f"connected to {self._where} again")
            self._once.clear()
        self._silent_until_s = time.monotonic() + SILENCE_S
        client.subscribe([(topic, 0) for topic in self._topics])

    def _disconnected(self, _client: Client, _data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if self._end is None and flags.is_disconnect_packet_from_server:
            self._end = explain_refusal(reason, properties, self._config, self._name)

    def _subscribed(self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        if reasons and all(reason.is_failure for reason in reasons):
            who = f"user {self._config.username}" if self._config.username else "a client without a name"
            topics = self._topics[0].rpartition("/")[0] + "/#"
            advice = "allow it in the broker's ACL, or give --user"
            self._refused = self._end = CredentialError(
                f"broker {self._where}: it does not let {who} read {topics}: {advice}"
            )

    def _heard(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        now_s = time.monotonic()
        device = self._fleet.hear(message.topic, bytes(message.payload), now_s, time.time(), message.retain)
        if device is None or self._over() or self._shown.get(device.name) == device.change_key():
            return
        self._shown[device.name] = device.change_key()
        self._out.changed(device, now_s)
        if self._left is not None:
            self._left -= 1

    def _report_silence(self) -> None:
        """Say once that nothing comes: a broker may take a subscription and then never serve it."""
        if self._silent_until_s is not None and time.monotonic() > self._silent_until_s:
            self._silent_until_s = None
            if not self._fleet.devices():
                self._out.connection(NOTHING_YET)

    def _explain_ending(self, client: BoundedClient, *, silent: bool = False) -> EdgeAgenderError:
        if (sock := client.socket()) is not None and not self._answered:
            # Some servers talk to one at a time, and are asked what they speak.
            sock.close()
        ending = Ending(accepted=self._answered, first=client.first, error=client.error, silent=silent)
        return explain_ending(self._config, self._name, ending)

    def _lost(self, error: EdgeAgenderError) -> None:
        text = str(error)
        self._brokers.rotate(-1)
        if self._once.first(text):
            self._out.connection(f"{text} (trying again)")
        self._headline = f"{text} (trying again)"
        until_s = time.monotonic() + self._backoff.next_s()
        while time.monotonic() < until_s and not self._over():
            self._draw()
            time.sleep(min(TURN_S, max(until_s - time.monotonic(), 0)))

    def _draw(self, at_once: bool = False) -> None:
        now_s = time.monotonic()
        if not at_once and now_s - self._drawn_s < REDRAW_S:
            return
        self._drawn_s = now_s
        count = len(self._fleet.devices())
        if self._answered and self._end is None:
            self._headline = f"{self._where}: {count} device{'' if count == 1 else 's'} (Ctrl-C ends)"
        self._out.draw(self._fleet, clean(self._headline), now_s)

    def _over(self) -> bool:
        return time.monotonic() >= self._ends_s or (self._left is not None and self._left <= 0)
