"""Collection over MQTT: a lasting session, and an acknowledgement after COMMIT only.

The broker keeps the session while this is away and delivers again what was not acknowledged (QoS 1).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt.connection import read_password, tls_context
from edge_agender.delivery.mqtt.explain import explain_refusal
from edge_agender.errors import BrokerError
from edge_agender.fleet.intake import MAX_BYTES, STATES
from edge_agender.fleet.kinds import KINDS
from edge_agender.fleet.records import Arrival

_log = logging.getLogger(__name__)

# The longest that MQTT 5 knows: for ever. A broker may shorten it.
FOREVER_S = 0xFFFFFFFF
# Deliveries under way: above a batch, so that one can be stored while the next comes in.
IN_FLIGHT = 1000
# Messages of QoS 0 have no acknowledgement to hold them back: while the store is stuck, so many wait at most.
MOST_WAITING = 20_000
CONNECT_TIMEOUT_S = 5.0


class MqttSource:
    """A context manager: entering starts to connect, for ever again; `wait` returns once it listens.

    Have it listen before the first device connects: what is published before the session exists is not kept for it.
    """

    def __init__(self, config: MqttConfig, name: str, clock: Callable[[], float] = time.time) -> None:
        self._config, self._clock = config.brokers[0], clock
        self._arrived: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._listening = threading.Event()
        self.connected = False
        self.connects = 0  # packet identifiers mean nothing on another connection than their own
        self.dropped = 0
        self.last_error: str | None = None
        self._client = self._new_client(name)

    def _new_client(self, name: str) -> Client:
        five = self._config.protocol == "5"
        version = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
        session: Any = None if five else False
        client = Client(CallbackAPIVersion.VERSION2, name, clean_session=session, protocol=version, manual_ack=True)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.reconnect_delay_set(1, 30)
        if self._config.username is not None:
            client.username_pw_set(self._config.username, read_password(self._config))
        if self._config.uses_tls:
            client.tls_set_context(tls_context(self._config.tls))
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_message, client.on_subscribe = self._on_message, self._on_subscribe
        return client

    def __enter__(self) -> MqttSource:
        where = (self._config.host, self._config.effective_port, self._config.keepalive_s)
        if self._config.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = FOREVER_S
            properties.ReceiveMaximum = IN_FLIGHT
            self._client.connect_async(*where, clean_start=False, properties=properties)
        else:
            self._client.connect_async(*where)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait(self, timeout_s: float) -> None:
        """Return once the broker keeps a session for us; raises BrokerError where that takes longer."""
        if not self._listening.wait(timeout_s):
            where = f"{self._config.address}"
            raise BrokerError(self.last_error or f"{where}: the broker does not answer within {timeout_s:.0f} s")

    def take(self, limit: int, wait_s: float) -> list[Arrival]:
        taken: list[Arrival] = []
        with suppress(queue.Empty):
            taken.append(self._arrived.get(timeout=wait_s))
            while len(taken) < limit:
                taken.append(self._arrived.get_nowait())
        return taken

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            connection, mid, qos = arrival.receipt
            if qos and connection == self.connects:
                self._client.ack(mid, qos)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Send a command to a device; False where there is no connection now."""
        return self.connected and self._client.publish(topic, payload, qos=1, retain=retain).rc == 0

    def lag(self) -> None:
        """How many messages wait at the broker: MQTT cannot say."""

    # -- called by paho, on its thread

    def _on_connect(
        self, client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._tell(str(explain_refusal(reason, properties, self._config, "the collector")))
            return
        if self.connects and not flags.session_present:
            _log.warning("the broker has forgotten our session: devices are asked for what was lost meanwhile")
        self.connects += 1
        self.connected, self.last_error = True, None
        kinds = sorted({*KINDS, *STATES})
        client.subscribe([(f"{self._config.prefix}/+/{kind}", 1) for kind in kinds])

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._tell(f"the broker refuses a subscription: let this user read {self._config.prefix}/# in its ACL")
            return
        self._listening.set()

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self.connected = False
        if reason.is_failure:
            self._tell(f"{self._config.host}: connection lost ({str(reason).lower()})")

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        self._tell(f"{self._config.address}: no connection; trying again for ever")

    def _tell(self, error: str) -> None:
        _log.log(logging.DEBUG if error == self.last_error else logging.WARNING, "%s", error)
        self.last_error = error

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        if message.qos == 0 and self._arrived.qsize() > MOST_WAITING:
            self.dropped += 1
            return
        # A payload that nobody will read is not carried about either.
        payload = bytes(message.payload[: MAX_BYTES + 1])
        receipt = (self.connects, message.mid, message.qos)
        self._arrived.put(Arrival(message.topic, payload, self._clock(), message.retain, receipt))
