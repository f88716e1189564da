"""One connection to the broker, from CONNECT to its end. Everything in it runs on the publisher's thread."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, topic_matches_sub
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt import connection as broker
from edge_agender.delivery.mqtt.explain import explain, explain_closed, explain_refusal
from edge_agender.delivery.mqtt.traffic import Subscription, Traffic, Wake
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.delivery.outbox.parking import Entry
from edge_agender.errors import EdgeAgenderError
from edge_agender.messages.message import Message

_log = logging.getLogger(__name__)

IN_FLIGHT = 20
STOP_S = 1.0
CONNACK_S = 10.0
# A connection that ends sooner proves nothing: two devices of one name throw each other out as soon as they are in.
STABLE_S = 10.0
HANG_UPS = 3
# What a subscriber has not fetched by then is no longer live; the broker may forget it (MQTT 5 only).
LIVE_EXPIRY_S = 60
# What PUBLISH adds to topic and payload, at most, with the properties used here.
_PUBLISH_OVERHEAD = 64
KEEP_ALIVE_TIMEOUT = 141
# Reasons of MQTT 5 for which the same message will be refused for ever.
_HOPELESS = (144, 149, 153)


class Session:
    def __init__(
        self,
        config: MqttConfig,
        name: str,
        outbox: Outbox,
        status: Callable[[str], Message],
        subscriptions: Sequence[Subscription],
        traffic: Traffic,
    ) -> None:
        self._config, self._name, self._outbox, self._status = config, name, outbox, status
        self._subscriptions, self._traffic = subscriptions, traffic
        self._client = broker.new_client(config, name)
        self._in_flight: dict[int, Entry | None] = {}  # None: a status
        self._limit = IN_FLIGHT
        self._max_packet_bytes = 268_435_455
        self._end: EdgeAgenderError | None = None
        self._answered = False
        self._set_callbacks()

    def _set_callbacks(self) -> None:
        client = self._client
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish, client.on_message, client.on_subscribe = self._published, self._received, self._subscribed
        will = self._status("offline")
        client.will_set(will.topic, will.payload, will.qos, will.retain, self._properties(will))

    def run(self, stop: Event, wake: Wake, on_up: Callable[[], None], on_stable: Callable[[], None]) -> None:
        """Connect and send until `stop`; raise an EdgeAgenderError when the connection fails or ends before.

        `on_up` is called once the broker has accepted us, `on_stable` when that has lasted for STABLE_S.
        """
        self._on_up, self._on_stable = on_up, on_stable
        try:
            broker.connect(self._client, self._config)
        except (OSError, ValueError) as error:
            raise explain(error, self._config) from None
        self._no_delay()
        self._due_s = time.monotonic() + CONNACK_S
        while self._end is None and not stop.is_set():
            if time.monotonic() > self._due_s:
                self._time_is_up()
            self._fill()
            self._poll_once(wake, self._outbox.replay_in_s() if self._durable_may_go else None)
        if self._end is None:
            self._say_goodbye(wake)
        self._hang_up()
        if self._end is not None:
            self._isolate_refused()
            raise self._end

    def _time_is_up(self) -> None:
        self._due_s = float("inf")
        if self._answered:
            self._on_stable()
        else:
            self._end = explain(TimeoutError(), self._config)

    def _isolate_refused(self) -> None:
        """Some brokers do not say that they refuse a message, they hang up: three times alone, and it was this one."""
        waiting = list(self._in_flight.values())
        if waiting and self._answered and not self._stable:
            self._traffic.cautious = True
        if len(waiting) != 1 or waiting[0] is None or not waiting[0].message.durable:
            return
        waiting[0].hang_ups += 1
        if waiting[0].hang_ups >= HANG_UPS:
            self._traffic.once.warn(f"{waiting[0].message.topic}: the broker hangs up on it: see its log and its ACL")
            self._outbox.refuse(waiting[0])

    @property
    def _stable(self) -> bool:
        return self._answered and self._due_s == float("inf")

    @property
    def _slots(self) -> int:
        """How many messages may wait for their acknowledgement."""
        return 1 if self._traffic.cautious else self._limit

    def _no_delay(self) -> None:
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            # Small packets must not wait for the acknowledgement of the one before.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _hang_up(self) -> None:
        """Without DISCONNECT, so that the broker publishes the will; no effect after one."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    # -- waiting

    def _poll_once(self, wake: Wake, due_in_s: float | None) -> None:
        """Wait for the network or for `wake`, then read, write and keep alive."""
        sock = self._client.socket()
        if sock is None:
            self._end = self._end or explain_closed(self._config, self._answered)
            return
        poller = select.poll()
        poller.register(wake.fileno(), select.POLLIN)
        poller.register(sock.fileno(), select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        # The rate limit is that of a clock read earlier: a little longer, or this turns once too often for nothing.
        wait_s = 0.0 if pending else min(1.0, due_in_s + 0.002 if due_in_s is not None else 1.0)
        events = dict(poller.poll(wait_s * 1000))
        wake.clear()
        happened = events.get(sock.fileno(), 0)
        if pending or happened & ~select.POLLOUT:
            self._client.loop_read()
        if happened & select.POLLOUT:
            self._client.loop_write()
        self._client.loop_misc()

    # -- sending

    @property
    def _durable_may_go(self) -> bool:
        """A fifth of the slots is left to live messages with acknowledgement."""
        room = len(self._in_flight) < max(1, self._slots * 4 // 5)
        return room and self._client.is_connected() and not self._client.want_write()

    def _fill(self) -> None:
        """Take from the outbox as long as the socket swallows it: the outbox knows what to drop, paho does not."""
        client = self._client
        while client.is_connected() and not client.want_write() and len(self._in_flight) < self._slots:
            taken = self._outbox.take(durable=self._durable_may_go)
            if taken is None:
                return
            self._send(*taken)

    def _send(self, entry: Entry, message: Message) -> None:
        qos = max(message.qos, 1) if message.durable else message.qos
        if len(message.payload) + len(message.topic) + _PUBLISH_OVERHEAD > self._max_packet_bytes:
            self._traffic.once.warn(f"{message.topic}: the broker takes no message this large: raise its limit")
            self._outbox.reject(entry)
            return
        try:
            info = self._client.publish(message.topic, message.payload, qos, message.retain, self._properties(message))
        except ValueError as error:
            self._traffic.once.warn(f"{message.topic}: cannot be published: {error}")
            self._outbox.reject(entry)
            return
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            if not message.durable:
                self._outbox.reject(entry, "live")
            return
        self._traffic.sent += 1
        if qos:
            self._in_flight[info.mid] = entry

    def _properties(self, message: Message) -> Properties | None:
        if self._config.protocol != "5":
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = "application/json"
        properties.PayloadFormatIndicator = 1
        if not message.durable and not message.retain:
            properties.MessageExpiryInterval = LIVE_EXPIRY_S
        return properties

    def _say(self, state: str) -> None:
        message = self._status(state)
        properties = self._properties(message)
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain, properties)
        if message.qos:
            self._in_flight[info.mid] = None

    def _say_goodbye(self, wake: Wake) -> None:
        """Send what waits, then `stopped`; disconnect once all is acknowledged, or leave the will to speak."""
        client, now_s = self._client, time.monotonic()
        while client.is_connected() and self._outbox.has_something_now() and time.monotonic() < now_s + STOP_S / 2:
            self._fill()
            self._poll_once(wake, 0.02)
        if client.is_connected():
            self._say("stopped")
        while self._unheard and client.is_connected() and time.monotonic() < now_s + STOP_S:
            self._poll_once(wake, 0.02)
        if client.is_connected() and not self._unheard:
            client.disconnect()

    @property
    def _unheard(self) -> bool:
        """Something is not written yet, or not acknowledged."""
        return bool(self._in_flight) or self._client.want_write()

    # -- callbacks of paho, called from within loop_read and loop_write

    def _connected(
        self, _client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._end = explain_refusal(reason, self._config, self._name)
            return
        self._limit = min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT))
        self._max_packet_bytes = getattr(properties, "MaximumPacketSize", self._max_packet_bytes)
        self._answered, self._due_s = True, time.monotonic() + STABLE_S
        self._say("online")
        for subscription in self._subscriptions:
            self._client.subscribe(subscription.topic, qos=1)
        self._on_up()

    def _disconnected(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if self._end is None and flags.is_disconnect_packet_from_server:
            self._end = explain_refusal(reason, self._config, self._name)
        elif self._end is None and reason.value == KEEP_ALIVE_TIMEOUT:
            self._end = explain(TimeoutError(), self._config)

    def _published(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        entry = self._in_flight.pop(mid, None)
        if reason.is_failure:
            self._refused(entry, reason)
        elif entry is not None:
            self._outbox.acknowledge(entry)
            self._traffic.acknowledged += 1

    def _refused(self, entry: Entry | None, reason: ReasonCode) -> None:
        topic = entry.message.topic if entry else self._status("online").topic
        text = f"the broker refuses it ({str(reason).lower()}): let this device write there in its ACL"
        self._traffic.once.warn(f"{topic}: {text}")
        if entry is None:
            return
        if entry.message.durable and reason.value not in _HOPELESS:
            self._outbox.refuse(entry)
        else:
            self._outbox.reject(entry)

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        for subscription in self._subscriptions:
            if not topic_matches_sub(subscription.topic, message.topic):
                continue
            if len(message.payload) > subscription.max_bytes:
                self._traffic.unheard += 1
                self._traffic.once.warn(f"{message.topic}: a command larger than {subscription.max_bytes} bytes")
                continue
            try:
                subscription.handler(message.topic, bytes(message.payload))
            except Exception as error:  # a handler's mistake must not cost the connection
                self._traffic.unheard += 1
                self._traffic.once.warn(f"{message.topic}: a command failed: {type(error).__name__}: {error}")

    def _subscribed(
        self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            topics = ", ".join(subscription.topic for subscription in self._subscriptions)
            self._traffic.once.warn(f"the broker refuses a subscription: let this device read {topics} in its ACL")
