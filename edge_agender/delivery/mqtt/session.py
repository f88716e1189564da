"""One connection to the broker, from CONNECT to its end. Everything in it runs on the publisher's thread."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, topic_matches_sub
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt import connection as broker
from edge_agender.delivery.mqtt import diagnose, explain
from edge_agender.delivery.mqtt.limits import Limits
from edge_agender.delivery.mqtt.sending import Sending, publish_properties
from edge_agender.delivery.mqtt.traffic import Subscription, Traffic, Wake
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.errors import BrokerError, EdgeAgenderError
from edge_agender.messages.contract import State
from edge_agender.messages.message import Message

STOP_S = 1.0
CONNACK_S = 10.0
# A connection that ends sooner proves nothing: two devices of one name throw each other out as soon as they are in.
STABLE_S = 10.0
KEEP_ALIVE_TIMEOUT = 141
# A node of a cluster without a leader refuses subscriptions for some seconds, and does not say when that is over: after
# one hung, 59 of 295 connections to the others would have heard no command from then on.
SUBSCRIBE_AGAIN_S = 30.0


class LimitsLearnedError(BrokerError):
    """The broker refused a CONNECT for what it does not take; the next one will not ask for that."""


class Session:
    """`config` names one broker; `limits`, what that one allows, and `traffic` outlive the session."""

    def __init__(
        self,
        config: MqttConfig,
        name: str,
        outbox: Outbox,
        status: Callable[[State], Message],
        subscriptions: Sequence[Subscription],
        traffic: Traffic,
        limits: Limits,
    ) -> None:
        self._config, self._name, self._outbox, self._status = config, name, outbox, status
        self._subscriptions, self._traffic, self._limits = subscriptions, traffic, limits
        self._mqtt_5 = config.protocol == "5"
        self._client = broker.new_client(config, name)
        self._end: EdgeAgenderError | None = None
        self._accepted = False
        self._asked: dict[int, Subscription] = {}
        self._refused: list[Subscription] = []
        self._ask_again_s = float("inf")
        self._set_callbacks()

    def _set_callbacks(self) -> None:
        client, limits = self._client, self._limits
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish, client.on_message, client.on_subscribe = self._published, self._received, self._subscribed
        client.on_unsubscribe = self._unsubscribed
        will = self._status("offline")
        qos, retain, properties = limits.qos_of(will), limits.retains(will), self._properties(will)
        client.will_set(will.topic, will.payload, qos, retain, properties)
        self._status_topic = will.topic
        fence = f"{will.topic}/fence"
        self._sending = Sending(client, self._outbox, limits, self._traffic, fence, mqtt_5=self._mqtt_5)

    def run(self, stop: Event, wake: Wake, on_up: Callable[[], None], on_stable: Callable[[], None]) -> None:
        """Connect and send until `stop`; raise an EdgeAgenderError when the connection fails or ends before.

        `on_up` is called once the broker has accepted us, `on_stable` when that has lasted for STABLE_S.
        """
        self._on_up, self._on_stable = on_up, on_stable
        try:
            broker.connect(self._client, self._config)
        except (OSError, ValueError) as error:
            raise explain.explain(error, self._config) from None
        self._due_s = time.monotonic() + CONNACK_S
        while self._end is None and not stop.is_set():
            self._check_times()
            if self._end is not None:
                break
            if self._traffic.status_changed and self._accepted:
                self._say("online")
            self._sending.fill()
            self._poll_once(wake, self._outbox.replay_in_s() if self._sending.durable_may_go else None)
        if self._end is None:
            self._say_goodbye(wake)
        self._hang_up()
        if self._end is not None:
            if self._accepted and not self._stable and len(self._sending.in_flight):
                self._traffic.cautious = True
            self._sending.find_culprit()
            raise self._end

    @property
    def _stable(self) -> bool:
        return self._accepted and self._due_s == float("inf")

    def _check_times(self) -> None:
        if time.monotonic() > self._due_s:
            self._due_s = float("inf")
            if self._accepted:
                self._on_stable()
            else:
                self._end = self._ending(silent=True)
        if time.monotonic() > self._ask_again_s:
            self._ask_again_s, refused, self._refused = float("inf"), self._refused, []
            self._subscribe(refused)
        limit_s = self._config.ack_timeout_s
        # While the socket takes no more, the network is slow or gone: that is for the pings to find out.
        if self._end is None and self._sending.in_flight.oldest_s() > limit_s and not self._client.want_write():
            self._end = explain.explain_unacknowledged(self._config, limit_s)
            self._sending.hold_against_skipped(limit_s)

    def _ending(self, *, silent: bool = False) -> EdgeAgenderError:
        """Return what to say of a connection that is gone, or silent, without a word from the broker."""
        # Some servers talk to one at a time, and are asked what they speak.
        self._hang_up()
        ending = explain.Ending(
            accepted=self._accepted,
            first=self._client.first,
            error=self._client.error,
            silent=silent,
            carrying=self._sending.in_flight.carries_durable,
        )
        if self._closed_on_will(ending) and self._limits.closed_on_will():
            return LimitsLearnedError("")
        ask = None if self._limits.one_of_several else self._limits.languages
        return explain.explain_ending(self._config, self._name, ending, ask)

    def _closed_on_will(self, ending: explain.Ending) -> bool:
        """True where a broker of MQTT 3.1.1 closed without a word, though it talks to a client without a will."""
        if self._mqtt_5 or ending.accepted or ending.silent or ending.first or self._config.uses_tls:
            return False
        if self._limits.one_of_several:
            return False
        return diagnose.speaks(self._config.host, self._config.effective_port, "MQTT 3.1.1")

    def _hang_up(self) -> None:
        """Without DISCONNECT, so that the broker publishes the will; no effect after one."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _poll_once(self, wake: Wake, due_in_s: float | None) -> None:
        """Wait for the network or for `wake`, then read, write and keep alive."""
        sock = self._client.stream
        if self._client.socket() is None or sock is None:
            self._end = self._end or self._ending()
            return
        poller = select.poll()
        poller.register(wake.fileno(), select.POLLIN)
        poller.register(sock.fileno(), select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        pending = sock.pending() > 0
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

    def _properties(self, message: Message) -> Properties | None:
        return publish_properties(message, mqtt_5=self._mqtt_5)

    def _say(self, state: State) -> None:
        self._traffic.status_changed = False
        self._sending.say(self._status(state))

    def _say_goodbye(self, wake: Wake) -> None:
        """Send what waits, then `stopped` where that is meant; disconnect once all is acknowledged.

        Else the will speaks.
        """
        client, sending, now_s = self._client, self._sending, time.monotonic()

        def turn_while(waiting: Callable[[], bool], send: Callable[[], None], limit_s: float) -> None:
            while client.is_connected() and waiting() and time.monotonic() < now_s + limit_s:
                send()
                self._poll_once(wake, 0.02)

        turn_while(self._outbox.has_something_now, sending.fill, STOP_S / 2)
        turn_while(lambda: not sending.has_room, sending.fence_off, STOP_S)
        if client.is_connected() and self._traffic.goodbye:
            self._say("stopped")
        turn_while(lambda: sending.unfinished, sending.fence_off, STOP_S)
        if client.is_connected() and not sending.unfinished and self._traffic.goodbye:
            client.disconnect()

    # -- callbacks of paho, called from within loop_read and loop_write

    def _connected(
        self, _client: Any, _data: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._end = self._refusal(reason, properties)
            return
        self._limits.accepted(properties, mqtt_5=self._mqtt_5)
        self._client.ping_at_least_every(self._config.keepalive_s)
        for loss in self._limits.losses():
            self._traffic.once.warn(f"{explain.where(self._config)}: {loss}")
        self._accepted, self._due_s = True, time.monotonic() + STABLE_S
        self._say("online")
        self._subscribe(self._subscriptions)
        self._on_up()

    def _subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        for subscription in subscriptions:
            _, number = self._client.subscribe(subscription.topic, qos=self._limits.qos)
            if number is not None:
                self._asked[number] = subscription
                self._sending.in_flight.add(number, publish=False)

    def _disconnected(
        self, _client: Any, _data: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._end is None and flags.is_disconnect_packet_from_server:
            self._end = self._refusal(reason, properties)
        elif self._end is None and reason.value == KEEP_ALIVE_TIMEOUT:
            self._end = self._ending(silent=True)

    def _refusal(self, reason: ReasonCode, properties: Properties | None) -> EdgeAgenderError:
        if self._limits.refused(reason.value, accepted=self._accepted) and not self._accepted:
            return LimitsLearnedError("")
        return explain.explain_refusal(reason, properties, self._config, self._name)

    def _published(self, _client: Any, _data: Any, number: int, reason: ReasonCode, *_: Any) -> None:
        self._sending.answered(number, reason, self._status_topic)

    def _received(self, _client: Any, _data: Any, message: MQTTMessage) -> None:
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

    def _unsubscribed(self, _client: Any, _data: Any, number: int, *_: Any) -> None:
        self._sending.passed_fence(number)

    def _subscribed(self, _client: Any, _data: Any, number: int, reasons: list[ReasonCode], *_: Any) -> None:
        self._sending.in_flight.take(number)
        subscription = self._asked.pop(number, None)
        if subscription is None or not any(reason.is_failure for reason in reasons):
            return
        topic = subscription.topic
        self._traffic.once.warn(f"the broker refuses a subscription: let this device read {topic} in its ACL")
        self._refused.append(subscription)
        self._ask_again_s = time.monotonic() + SUBSCRIBE_AGAIN_S
