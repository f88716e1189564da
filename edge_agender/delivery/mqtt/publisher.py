"""The publisher: drains the outbox to the broker, says whether this device lives, and never gives up.

One thread owns the connection: it connects, sends, receives, and after a failure waits with backoff and tries again,
for ever. Commands are handled on that thread, so a handler must return at once (hand the payload to another thread).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from edge_agender.common.backoff import Backoff
from edge_agender.common.once import Once
from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt.connection import client_id, warn_if_insecure
from edge_agender.delivery.mqtt.explain import ClosedError, SilentError, TakenOverError, explain_closed_again, where
from edge_agender.delivery.mqtt.limits import Limits
from edge_agender.delivery.mqtt.rotation import Rotation
from edge_agender.delivery.mqtt.session import STOP_S, LimitsLearnedError, Session
from edge_agender.delivery.mqtt.traffic import Subscription, Traffic, Wake
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.errors import BrokerError, EdgeAgenderError
from edge_agender.messages.contract import State
from edge_agender.messages.message import Message

__all__ = ["LinkState", "Publisher"]

_log = logging.getLogger(__name__)

MAX_COMMAND_BYTES = 4096
# Of a connection that comes and goes within seconds, so many are logged; then only one that lasts.
SHORT_LIVED_TOLD = 3
# So many connections in a row that were let in and closed without a word within so many seconds, and somebody else
# has our client id: Mosquitto 2.0 does not say so, and MQTT 3.1.1 cannot.
CLOSED_OFTEN, CLOSED_SOON_S = 3, 60.0
# Who was thrown out by a client of the same name would throw that one out in turn: both wait, ever longer.
TAKEN_OVER_MIN_S, TAKEN_OVER_MAX_S = 60.0, 600.0


@dataclass(frozen=True, slots=True)
class LinkState:
    """`since_s`: monotonic time of the last change; `unheard`: commands that were too large or failed.

    `conflict`: that another client takes our place, until a connection has outlasted that client's waiting.
    """

    connected: bool
    since_s: float
    connects: int
    last_error: str | None
    sent: int
    acknowledged: int
    unheard: int
    conflict: str | None = None


class Publisher:
    """A context manager: entering starts the thread, leaving says `stopped` and ends it within 1.5 s.

    `status` builds the retained message for "online", "stopped" and "offline" (the will).
    """

    def __init__(self, config: MqttConfig, device: str, outbox: Outbox, status: Callable[[State], Message]) -> None:
        self._config, self._outbox, self._status = config, outbox, status
        self._name = client_id(config, device)
        several = len(config.brokers) > 1
        self._brokers = [(broker, Limits(one_of_several=several)) for broker in config.brokers]
        self._rotation = Rotation(len(self._brokers), Backoff(config.reconnect_min_s, config.reconnect_max_s))
        self._subscriptions: list[Subscription] = []
        self._traffic = Traffic()
        self._stop, self._wake = threading.Event(), Wake()
        self._up_since_s: float | None = None
        self._changed_s = time.monotonic()
        self._connects = 0
        self._last_error: str | None = None
        self._once = Once(_log)
        self._closed = 0
        self._conflict: str | None = None
        self._taken_over = Backoff(TAKEN_OVER_MIN_S, TAKEN_OVER_MAX_S, least=0.5)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def subscribe(self, topic: str, handler: Callable[[str, bytes], None], max_bytes: int = MAX_COMMAND_BYTES) -> None:
        """Have `handler(topic, payload)` called for what arrives there; call this before entering.

        It runs on the publisher's thread and must return at once. Larger payloads are counted and dropped.
        """
        self._subscriptions.append(Subscription(topic, handler, max_bytes))

    def status_changed(self) -> None:
        """Say the status again, as `status` now builds it."""
        self._traffic.status_changed = True
        self._wake.set()

    def __enter__(self) -> Publisher:
        warn_if_insecure(self._config)
        self._outbox.listen(self._wake.set)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What ends by a failure was not meant to: the broker publishes the will, `offline`.
        self._traffic.goodbye = kind is None
        self._stop.set()
        self._wake.set()
        # The thread may be inside getaddrinfo(), which nothing can end; it is a daemon thread.
        self._thread.join(STOP_S + 0.5)

    def state(self) -> LinkState:
        return LinkState(
            connected=self._up_since_s is not None,
            since_s=self._changed_s,
            connects=self._connects,
            last_error=self._last_error,
            sent=self._traffic.sent,
            acknowledged=self._traffic.acknowledged,
            unheard=self._traffic.unheard,
            conflict=self._conflict_now(),
        )

    # -- the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            error = self._connect_once()
            lasted_s = 0.0 if self._up_since_s is None else time.monotonic() - self._up_since_s
            if self._up_since_s is not None:
                self._up_since_s, self._changed_s = None, time.monotonic()
            self._outbox.rewind()
            if error is not None and not isinstance(error, LimitsLearnedError):
                error = self._suspected(error, lasted_s)
                self._failed(error)
                self._stop.wait(self._pause_s(error))

    def _connect_once(self) -> EdgeAgenderError | None:
        """Connect and send until that fails or all is over; return what failed."""
        broker, limits = self._brokers[self._rotation.turn]
        try:
            session = Session(
                broker, self._name, self._outbox, self._status, self._subscriptions, self._traffic, limits
            )
            session.run(self._stop, self._wake, self._came_up, self._is_stable)
        except EdgeAgenderError as error:
            return error
        except Exception as error:  # whatever it is, counting goes on and the next attempt may work
            _log.debug("publisher", exc_info=True)
            return BrokerError(f"publisher: {type(error).__name__}: {error}")
        return None

    def _suspected(self, error: EdgeAgenderError, lasted_s: float) -> EdgeAgenderError:
        """Return what is behind an error: who is closed on again and again has been taken over.

        Of two that take each other's place, each is connected for as long as the other waits.
        """
        if lasted_s > self._conflict_lasts_s():
            self._taken_over.reset()
            self._closed, self._conflict = 0, None
        self._closed = self._closed + 1 if isinstance(error, ClosedError) else 0
        if self._closed >= CLOSED_OFTEN:
            return explain_closed_again(self._brokers[self._rotation.turn][0], self._name)
        return error

    def _conflict_lasts_s(self) -> float:
        return max(CLOSED_SOON_S, 2.5 * self._taken_over.ceiling_s)

    def _conflict_now(self) -> str | None:
        up_since_s = self._up_since_s
        over = up_since_s is not None and time.monotonic() - up_since_s > self._conflict_lasts_s()
        return None if over else self._conflict

    def _pause_s(self, error: EdgeAgenderError) -> float:
        """Return how long to wait before the next attempt, in seconds."""
        if not isinstance(error, TakenOverError):
            return self._rotation.next_s(hangs=isinstance(error, SilentError))
        self._conflict = str(error)
        return self._taken_over.next_s()

    def _came_up(self) -> None:
        self._up_since_s = self._changed_s = time.monotonic()
        self._connects += 1
        self._last_error = None
        self._rotation.came_up()
        self._traffic.short_lived += 1
        if self._traffic.short_lived <= SHORT_LIVED_TOLD:
            self._log_connected()

    def _is_stable(self) -> None:
        """The connection has lasted: what goes wrong from now on is news again."""
        if self._traffic.short_lived > SHORT_LIVED_TOLD:
            self._log_connected()
        self._traffic.short_lived = 0
        self._traffic.cautious = False
        self._once.clear()
        self._rotation.lasted()

    def _log_connected(self) -> None:
        _log.info("connected to %s", where(self._brokers[self._rotation.turn][0]))

    def _failed(self, error: EdgeAgenderError) -> None:
        text = str(error)
        self._once.warn(f"{text} (counting goes on; trying again for ever)")
        self._last_error = text
