"""Collection over MQTT: a lasting session, and an acknowledgement after COMMIT only.

The broker keeps the session while this is away and delivers again what was not acknowledged (QoS 1). Several addresses
are those of one cluster, whose nodes have sessions in common; one that is gone or hangs is left for the next.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from paho.mqtt.client import MQTTMessage

from edge_agender.common.backoff import Backoff
from edge_agender.config.mqtt import MqttConfig
from edge_agender.delivery.mqtt.explain import SilentError
from edge_agender.delivery.mqtt.rotation import Rotation
from edge_agender.errors import BrokerError, EdgeAgenderError
from edge_agender.fleet.intake import MAX_BYTES, STATES
from edge_agender.fleet.kinds import KINDS
from edge_agender.fleet.link import Link
from edge_agender.fleet.records import Arrival

_log = logging.getLogger(__name__)

# Messages of QoS 0 have no acknowledgement to hold them back: while the store is stuck, so many wait at most.
MOST_WAITING = 20_000
# A connection that ends sooner proves nothing.
STABLE_S = 10.0
STOP_S = 10.0


class MqttSource:
    """A context manager: entering starts to connect, for ever again; `wait` returns once it listens.

    Have it listen before the first device connects: what is published before the session exists is not kept for it.
    """

    def __init__(self, config: MqttConfig, name: str, clock: Callable[[], float] = time.time) -> None:
        self._brokers, self._name, self._clock = config.brokers, name, clock
        self._topics = [f"{config.prefix}/+/{kind}" for kind in sorted({*KINDS, *STATES})]
        self._rotation = Rotation(len(self._brokers), Backoff(config.reconnect_min_s, config.reconnect_max_s))
        self._arrived: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._listening, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._link: Link | None = None
        self._up_s: float | None = None
        self.connects = 0
        self.dropped = 0
        self.last_error: str | None = None

    @property
    def connected(self) -> bool:
        return self._up_s is not None

    @property
    def address(self) -> str:
        """Where it listens, or tries to."""
        return self._brokers[self._rotation.turn].address

    def __enter__(self) -> MqttSource:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        # It may be inside getaddrinfo(), which nothing can end; it is a daemon thread.
        self._thread.join(STOP_S)

    def wait(self, timeout_s: float) -> None:
        """Return once the broker keeps a session for us; raises BrokerError where that takes longer."""
        if not self._listening.wait(timeout_s):
            error = f"{self.address}: the broker does not answer within {timeout_s:.0f} s"
            raise BrokerError(self.last_error or error)

    def take(self, limit: int, wait_s: float) -> list[Arrival]:
        taken: list[Arrival] = []
        with suppress(queue.Empty):
            taken.append(self._arrived.get(timeout=wait_s))
            while len(taken) < limit:
                taken.append(self._arrived.get_nowait())
        return taken

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        link = self._link
        for arrival in arrivals:
            # Packet identifiers mean nothing on another connection than their own.
            on, mid, qos = arrival.receipt
            if qos and link is on:
                link.acknowledge(mid, qos)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Send a command to a device; False where there is no connection now."""
        link = self._link
        return link is not None and self.connected and link.publish(topic, payload, retain)

    def lag(self) -> None:
        """How many messages wait at the broker: MQTT cannot say."""

    # -- the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            hangs = False
            try:
                self._listen_once()
            except EdgeAgenderError as error:
                hangs = isinstance(error, SilentError)
                self._tell(str(error))
            except Exception as error:  # whatever it is, the next attempt may work
                _log.debug("collector", exc_info=True)
                self._tell(f"{self.address}: {type(error).__name__}: {error}")
            lasted = self._up_s is not None and time.monotonic() - self._up_s > STABLE_S
            self._up_s = None
            if lasted:
                self._rotation.lasted()
            self._stop.wait(self._rotation.next_s(hangs=hangs))

    def _listen_once(self) -> None:
        def heard(message: MQTTMessage) -> None:
            self._hear(link, message)

        broker, several = self._brokers[self._rotation.turn], len(self._brokers) > 1
        link = Link(broker, self._name, self._topics, heard, self._came_up, several=several)
        self._link = link
        link.run(self._stop)

    def _tell(self, error: str) -> None:
        _log.log(logging.DEBUG if error == self.last_error else logging.WARNING, "%s", error)
        self.last_error = error

    # -- called on the library's thread

    def _came_up(self, session_present: bool) -> None:
        if self.connects and not session_present:
            _log.warning("the broker has forgotten our session: devices are asked for what was lost meanwhile")
        elif self.connects:
            _log.info("connected to %s again", self.address)
        self.connects += 1
        self._rotation.came_up()
        self._up_s, self.last_error = time.monotonic(), None
        self._listening.set()

    def _hear(self, link: Link, message: MQTTMessage) -> None:
        if message.qos == 0 and self._arrived.qsize() > MOST_WAITING:
            self.dropped += 1
            return
        # A payload that nobody will read is not carried about either.
        payload = bytes(message.payload[: MAX_BYTES + 1])
        self._arrived.put(
            Arrival(message.topic, payload, self._clock(), message.retain, (link, message.mid, message.qos))
        )
