"""One short connection to the broker, to ask whether it lets us in and what this device may do there."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, NamedTuple, Self

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt import connection
from edge_agender.delivery.mqtt.connection import client_id, connect, new_client
from edge_agender.delivery.mqtt.explain import Ending, explain, explain_ending, explain_refusal, where
from edge_agender.delivery.mqtt.limits import Limits
from edge_agender.errors import EdgeAgenderError

Answer = Literal["taken", "refused", "silent"]
# Valid JSON, for whoever listens to everything; never retained, and of no use after a second.
PAYLOAD = b"{}"


class BrokerProbe:
    """A context manager; entering raises BrokerError or CredentialError where the broker does not let us in."""

    def __init__(self, config: MqttConfig, name: str) -> None:
        self._config, self._name = config, name
        self._client = new_client(config, name)
        self._connected: list[tuple[ReasonCode, Properties | None]] = []
        self._answered: list[ReasonCode] = []
        self.limits = Limits()
        self._client.on_connect = lambda *args: self._connected.append(args[3:5])
        self._client.on_subscribe = lambda *args: self._answered.extend(args[3])
        self._client.on_publish = lambda *args: self._answered.append(args[3])

    def __enter__(self) -> Self:
        try:
            connect(self._client, self._config)
        except (OSError, ValueError) as error:
            raise explain(error, self._config) from None
        try:
            properties = self._enter()
        except EdgeAgenderError:
            self._hang_up()
            raise
        self.limits.accepted(properties, mqtt_5=self._config.protocol == "5")
        return self

    def _hang_up(self) -> None:
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _enter(self) -> Properties | None:
        """Wait for the CONNACK and return its properties; raise what it, or its absence, means."""
        hung_up = not self._poll(lambda: bool(self._connected))
        if not self._connected:
            # Some servers talk to one at a time, and are asked what they speak.
            self._hang_up()
            ending = Ending(accepted=False, first=self._client.first, error=self._client.error, silent=not hung_up)
            raise explain_ending(self._config, self._name, ending)
        reason, properties = self._connected[0]
        if reason.is_failure:
            raise explain_refusal(reason, properties, self._config, self._name)
        return properties

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()

    def subscribe(self, topic: str) -> Answer:
        self._answered.clear()
        self._client.subscribe(topic, qos=1)
        return self._answer()

    def publish(self, topic: str) -> Answer:
        """Publish next to nothing at QoS 1; "silent" where the broker takes QoS 0 only.

        MQTT 5 only: before, a refused message is acknowledged like any other.
        """
        if not self.limits.qos:
            return "silent"
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = 1
        self._answered.clear()
        self._client.publish(topic, PAYLOAD, qos=1, retain=False, properties=properties)
        return self._answer()

    def _answer(self) -> Answer:
        alive = self._poll(lambda: bool(self._answered))
        if self._answered:
            return "refused" if any(reason.is_failure for reason in self._answered) else "taken"
        # Mosquitto 2.0.11 (Debian bookworm) hangs up after it refused a message.
        return "silent" if alive else "refused"

    def _poll(self, done: Callable[[], bool]) -> bool:
        """Read and write until done or until it takes too long; False where the broker hung up."""
        until_s = time.monotonic() + connection.CONNECT_TIMEOUT_S
        while not done() and time.monotonic() < until_s:
            if self._client.loop(0.2) != 0:
                return False
        return True


def probe_name(config: MqttConfig, device: str) -> str:
    """A client id of the doctor's own: that of the daemon would throw the daemon out."""
    return client_id(config, device) + "-doctor"


class Connections(NamedTuple):
    """What became of one connection to each of the brokers: a line each that took us, one each thing to know."""

    accepted: list[str]
    warnings: list[str]


def check_connection(config: MqttConfig, device: str = "edge-agender") -> Connections:
    """Connect to each of the brokers once; raise the first error where none takes us.

    Warnings are those that do not, and what those that do leave out.
    """
    accepted: list[str] = []
    lines: list[str] = []
    errors: list[EdgeAgenderError] = []
    for each in config.brokers:
        try:
            with BrokerProbe(each, client_id(each, device) + "-check") as probe:
                accepted.append(f"{where(each)}: connected, {_manner(each)}; {probe.limits.words()}")
                lines += [f"{where(each)}: {loss}" for loss in probe.limits.losses()]
        except EdgeAgenderError as error:
            errors.append(error)
    if len(errors) == len(config.brokers):
        raise errors[0]
    return Connections(accepted, [str(error) for error in errors] + lines)


def _manner(config: MqttConfig) -> str:
    tls = "with TLS" if config.uses_tls else "without TLS"
    user = f"as user {config.username}" if config.username else "without a user name"
    return f"MQTT {config.protocol}, {tls}, {user}"
