"""What one broker allows: as its CONNACK says, and as it was learned from what it refused."""

from __future__ import annotations

from dataclasses import dataclass, field

from paho.mqtt.properties import Properties

from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt.connection import ask_languages
from edge_agender.delivery.mqtt.diagnose import Language
from edge_agender.messages.message import Message

# More messages on their way than this gain nothing, and a broker may take fewer.
IN_FLIGHT = 20
MAX_PACKET_BYTES = 268_435_455
# What PUBLISH adds to topic and payload, at most, with the properties used here.
PUBLISH_OVERHEAD = 64
RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED = 0x9A, 0x9B

NO_RETAIN = "it keeps no retained messages: who subscribes later sees a status only when it changes"
NO_ACKNOWLEDGEMENT = (
    "it takes QoS 0 only: a message counts as delivered once the broker has answered something that was sent after it"
)


@dataclass(slots=True)
class Limits:
    """Outlives a connection, because the will goes out before the broker says what it allows."""

    retain: bool = True
    qos: int = 1
    # What the broker allows in words and refuses in deed.
    never_retain: bool = False
    never_qos_1: bool = False
    in_flight: int = IN_FLIGHT
    packet_bytes: int = MAX_PACKET_BYTES
    # It has taken a retained will with acknowledgement: where it closes, that is not the reason.
    takes_will: bool = False
    # The next one is tried before anything is guessed of this one: a node of NATS closes while its cluster has no
    # leader, and stores nothing that comes at QoS 0; what speaks at one that hangs takes 12 s to ask.
    one_of_several: bool = False
    _languages: list[Language] = field(default_factory=list)

    def languages(self, config: MqttConfig) -> list[Language]:
        """Return what speaks at a broker's port; asked once, and again after it has taken us."""
        if not self._languages:
            self._languages = ask_languages(config)
        return self._languages

    def accepted(self, properties: Properties | None, *, mqtt_5: bool) -> None:
        """Take over what a CONNACK allows. MQTT 3.1.1 says nothing: there, what was learned stays."""
        self._languages = []
        self.takes_will = self.takes_will or (self.retain and self.qos > 0)
        self.in_flight = max(1, min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT)))
        self.packet_bytes = getattr(properties, "MaximumPacketSize", MAX_PACKET_BYTES)
        if mqtt_5:
            self.retain = bool(getattr(properties, "RetainAvailable", 1)) and not self.never_retain
            self.qos = 0 if self.never_qos_1 else min(1, getattr(properties, "MaximumQoS", 1))

    def refused(self, code: int, *, accepted: bool) -> bool:
        """Learn from a refusal, of a CONNECT or once `accepted`; True where the next attempt will ask for less."""
        if code == RETAIN_NOT_SUPPORTED and self.retain:
            self.retain, self.never_retain = False, accepted
            return True
        if code == QOS_NOT_SUPPORTED and self.qos:
            self.qos, self.never_qos_1 = 0, accepted
            return True
        return False

    def closed_on_will(self) -> bool:
        """Learn from a broker of MQTT 3.1.1 that closes on a will that it does not like, for it has no other word.

        False where nothing is left to do without: then the will was not the reason, and all is as before.
        """
        code = RETAIN_NOT_SUPPORTED if self.retain else QOS_NOT_SUPPORTED
        if not (self.takes_will or self.one_of_several) and self.refused(code, accepted=False):
            return True
        self.retain, self.qos = True, 1
        return False

    def qos_of(self, message: Message) -> int:
        """A durable message is acknowledged wherever the broker can."""
        return min(max(message.qos, 1) if message.durable else message.qos, self.qos)

    def retains(self, message: Message) -> bool:
        return message.retain and self.retain

    def too_large(self, message: Message) -> bool:
        return len(message.payload) + len(message.topic.encode()) + PUBLISH_OVERHEAD > self.packet_bytes

    def words(self) -> str:
        """Return what the broker takes, in words."""
        size = f", at most {self.packet_bytes} bytes a message" if self.packet_bytes < MAX_PACKET_BYTES else ""
        return f"it takes QoS {'0 and 1' if self.qos else '0'}, {'' if self.retain else 'no '}retained messages{size}"

    def losses(self) -> list[str]:
        """Return what is missing, in words, to be said once."""
        return [NO_RETAIN] * (not self.retain) + [NO_ACKNOWLEDGEMENT] * (not self.qos)
