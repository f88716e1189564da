"""From the outbox to the broker and, with what the broker answers, back: acknowledged, refused, or held against it."""

from __future__ import annotations

from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.delivery.mqtt.bounded import BoundedClient
from edge_agender.delivery.mqtt.inflight import InFlight
from edge_agender.delivery.mqtt.limits import Limits
from edge_agender.delivery.mqtt.traffic import Traffic
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.delivery.outbox.parking import Entry
from edge_agender.messages.message import Message

HANG_UPS = 3
# What a subscriber has not fetched by then is no longer live; the broker may forget it (MQTT 5 only).
LIVE_EXPIRY_S = 60
# Reasons of MQTT 5 for which the same message will be refused for ever: its topic, its size, its format.
_HOPELESS = (0x90, 0x95, 0x99)


def publish_properties(message: Message, *, mqtt_5: bool) -> Properties | None:
    """Return what MQTT 5 tells of a message beside its topic; None in MQTT 3.1.1."""
    if not mqtt_5:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = "application/json"
    properties.PayloadFormatIndicator = 1
    if not message.durable and not message.retain:
        properties.MessageExpiryInterval = LIVE_EXPIRY_S
    return properties


class Sending:
    """One session's messages. `fence` names a topic that nobody subscribes to."""

    def __init__(
        self, client: BoundedClient, outbox: Outbox, limits: Limits, traffic: Traffic, fence: str, *, mqtt_5: bool
    ) -> None:
        self._client, self._outbox, self._limits, self._traffic = client, outbox, limits, traffic
        self._fence, self._mqtt_5 = fence, mqtt_5
        self.in_flight = InFlight()

    @property
    def _slots(self) -> int:
        """How many messages may wait for their acknowledgement."""
        return 1 if self._traffic.cautious else self._limits.in_flight

    @property
    def has_room(self) -> bool:
        return len(self.in_flight) < self._slots

    @property
    def durable_may_go(self) -> bool:
        """A fifth of the slots is left to live messages with acknowledgement."""
        room = len(self.in_flight) < max(1, self._slots * 4 // 5)
        return room and self._client.is_connected() and not self._client.want_write()

    @property
    def unfinished(self) -> bool:
        """Something is not written yet, or not acknowledged."""
        return self.in_flight.waits or self._client.want_write()

    def fill(self) -> None:
        """Take from the outbox as long as the socket swallows it: the outbox knows what to drop, paho does not."""
        while self._client.is_connected() and not self._client.want_write() and self.has_room:
            taken = self._outbox.take(durable=self.durable_may_go)
            if taken is None:
                break
            self._send(*taken)
        self.fence_off()

    def fence_off(self) -> None:
        """Send what the broker will answer once it has read all messages of QoS 0 so far."""
        if self.in_flight.wants_fence and self._client.is_connected():
            _, number = self._client.unsubscribe(self._fence)
            if number is not None:
                self.in_flight.fence(number)

    def say(self, message: Message) -> None:
        """Publish a status, which the outbox does not know."""
        if self._fits(message):
            number, qos = self._publish(message)
            if number is not None and qos:
                self.in_flight.add(number)

    def _send(self, entry: Entry, message: Message) -> None:
        if not self._fits(message):
            self._outbox.reject(entry)
            return
        try:
            number, qos = self._publish(message)
        except ValueError as error:
            self._traffic.once.warn(f"{message.topic}: cannot be published: {error}")
            self._outbox.reject(entry)
            return
        if number is None:
            if not message.durable:
                self._outbox.reject(entry, "live")
            return
        self._traffic.sent += 1
        if qos:
            self.in_flight.add(number, entry)
        elif message.durable:
            self.in_flight.add_unfenced(entry)

    def _fits(self, message: Message) -> bool:
        if self._limits.too_large(message):
            self._traffic.once.warn(f"{message.topic}: the broker takes no message this large: raise its limit")
            return False
        return True

    def _publish(self, message: Message) -> tuple[int | None, int]:
        """Hand a message to the library; return its number, None where it went nowhere, and its QoS."""
        qos, properties = self._limits.qos_of(message), publish_properties(message, mqtt_5=self._mqtt_5)
        info = self._client.publish(message.topic, message.payload, qos, self._limits.retains(message), properties)
        return (info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None), qos

    # -- what the broker makes of it

    def answered(self, number: int, reason: ReasonCode, status_topic: str) -> None:
        """The broker has acknowledged, or refused, the message of this number."""
        entry = self.in_flight.take(number)
        if reason.is_failure:
            self._refused(entry, reason, status_topic)
        elif entry is not None:
            self._acknowledged(entry)

    def passed_fence(self, number: int) -> None:
        """The broker has answered what was sent after messages of QoS 0."""
        for entry in self.in_flight.pass_fence(number):
            self._acknowledged(entry)

    def _acknowledged(self, entry: Entry) -> None:
        self._outbox.acknowledge(entry)
        self._traffic.acknowledged += 1

    def _refused(self, entry: Entry | None, reason: ReasonCode, status_topic: str) -> None:
        topic = entry.message.topic if entry else status_topic
        text = f"the broker refuses it ({str(reason).lower()}): let this device write there in its ACL"
        self._traffic.once.warn(f"{topic}: {text}")
        if entry is None:
            return
        if entry.message.durable and reason.value not in _HOPELESS:
            self._outbox.refuse(entry)
        else:
            self._outbox.reject(entry)

    # -- where it does not say

    def find_culprit(self) -> None:
        """Some brokers do not say that they refuse a message, they hang up: three times alone, and it was this one."""
        waiting = self.in_flight.messages()
        if len(waiting) == 1 and waiting[0] is not None and waiting[0].message.durable:
            self._hold_against(waiting[0], "hangs up on it")

    def hold_against_skipped(self, after_s: float) -> None:
        """What has waited for so long, though later messages were acknowledged, may never be."""
        for entry in self.in_flight.skipped(after_s):
            self._hold_against(entry, "never acknowledges it")

    def _hold_against(self, entry: Entry, what: str) -> None:
        entry.hang_ups += 1
        if entry.hang_ups >= HANG_UPS:
            self._traffic.once.warn(f"{entry.message.topic}: the broker {what}: see its log and its ACL")
            self._outbox.refuse(entry)
