"""One connection of the collector to one broker, from CONNECT to its end.

A session that the broker keeps, and an acknowledgement when the caller says so. A broker that answers nothing within
`ack_timeout_s` is left: no CONNACK, no answer to a ping, a subscription or a command.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.config.mqtt import MqttConfig
from edge_agender.delivery.mqtt import explain
from edge_agender.delivery.mqtt.connection import new_client
from edge_agender.errors import CredentialError, EdgeAgenderError
from edge_agender.fleet.intake import MAX_BYTES

# The longest that MQTT 5 knows: for ever. A broker may shorten it.
FOREVER_S = 0xFFFFFFFF
# Deliveries under way: above a batch, so that one can be stored while the next comes in.
IN_FLIGHT = 1000
# Larger than a payload that is read, so that what is too large is refused in words and not overlooked.
PACKET_BYTES = MAX_BYTES + 4096
TURN_S = 0.25
KEEP_ALIVE_TIMEOUT = 141


class Link:
    """`on_message` is called on the library's thread; `on_listening(session_present)` once all is subscribed."""

    def __init__(
        self,
        config: MqttConfig,
        name: str,
        topics: Sequence[str],
        on_message: Callable[[MQTTMessage], None],
        on_listening: Callable[[bool], None],
        *,
        several: bool,
    ) -> None:
        self._config, self._name, self._topics, self._several = config, name, topics, several
        self._on_listening = on_listening
        self._client = new_client(config, name, PACKET_BYTES, keeps_session=True)
        self._client.manual_ack_set(True)
        self._client.on_connect, self._client.on_disconnect = self._connected, self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = lambda _client, _data, message: on_message(message)
        self._over = threading.Event()
        self._end: EdgeAgenderError | None = None
        self._accepted = self._session_present = self._listening = False
        self._asked_s = 0.0
        self._commands: list[tuple[MQTTMessageInfo, float]] = []

    def run(self, stop: threading.Event) -> None:
        """Connect and listen until `stop`; raise an EdgeAgenderError where the connection fails or ends before."""
        try:
            self._connect()
        except (OSError, ValueError) as error:
            raise explain.explain(error, self._config) from None
        self._asked_s = time.monotonic()
        self._client.loop_start()
        try:
            while not stop.is_set() and not self._over.wait(TURN_S):
                self._check_answers()
            if self._end is not None:
                raise self._end
            self._client.disconnect()
            self._over.wait(TURN_S)
        finally:
            self._client.hang_up()
            self._client.loop_stop()

    def _connect(self) -> None:
        # A ping goes unanswered for as long as the next one would take.
        keepalive_s = max(1, int(min(self._config.keepalive_s, self._config.ack_timeout_s / 2)))
        where = (self._config.host, self._config.effective_port, keepalive_s)
        if self._config.protocol != "5":
            self._client.connect(*where)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = FOREVER_S
        properties.ReceiveMaximum = IN_FLIGHT
        self._client.connect(*where, clean_start=False, properties=properties)

    def acknowledge(self, mid: int, qos: int) -> None:
        self._client.ack(mid, qos)

    def publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        """Send with QoS 1; False where there is no connection."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc:
            return False  # it never went out: nobody waits for its answer
        waiting = [(one, at_s) for one, at_s in self._commands if not one.is_published()]
        self._commands = [*waiting, (info, time.monotonic())]
        return True

    def _check_answers(self) -> None:
        now_s, limit_s = time.monotonic(), self._config.ack_timeout_s
        if not self._listening and now_s - self._asked_s > limit_s:
            self._end = self._end or self._ending(silent=True)
        commands = list(self._commands)
        if any(now_s - at_s > limit_s and not info.is_published() for info, at_s in commands):
            self._end = self._end or explain.explain_unacknowledged(self._config, limit_s)
        if self._end is not None:
            self._over.set()

    def _ending(self, *, silent: bool) -> EdgeAgenderError:
        ending = explain.Ending(
            accepted=self._accepted, first=self._client.first, error=self._client.error, silent=silent
        )
        if self._several or self._accepted:
            return explain.explain_ending(self._config, self._name, ending, None)
        return explain.explain_ending(self._config, self._name, ending)

    # -- called by paho, on its thread

    def _connected(
        self, _client: Any, _data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._end = explain.explain_refusal(reason, properties, self._config, self._name)
            self._over.set()
            return
        self._accepted, self._session_present, self._asked_s = True, flags.session_present, time.monotonic()
        self._client.ping_at_least_every(max(1, int(self._config.ack_timeout_s / 2)))
        self._client.subscribe([(topic, 1) for topic in self._topics])

    def _subscribed(
        self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            text = f"the broker refuses a subscription: let this user read {self._config.prefix}/# in its ACL"
            self._end = CredentialError(text)
            self._over.set()
            return
        self._listening = True
        self._on_listening(self._session_present)

    def _disconnected(
        self, _client: Any, _data: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._end is None and flags.is_disconnect_packet_from_server:
            self._end = explain.explain_refusal(reason, properties, self._config, self._name)
        elif self._end is None and reason.is_failure:
            self._end = self._ending(silent=reason.value == KEEP_ALIVE_TIMEOUT)
        self._over.set()
