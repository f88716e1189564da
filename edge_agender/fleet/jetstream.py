"""Collection from NATS, whose MQTT keeps every QoS 1 message in a JetStream stream of its own before it acknowledges.

One durable consumer on that stream, shared by as many collectors as wanted, acknowledged after COMMIT. It must exist
before any device publishes: the stream keeps a message only for consumers that it knows. A stream of one's own on the
plain subjects is not the same: it hears what the nodes pass on, after the acknowledgement, and loses with every kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy
from nats.js.errors import NotFoundError
from paho.mqtt.client import Client as MqttClient
from paho.mqtt.enums import CallbackAPIVersion

from edge_agender.config import secrets as passwords
from edge_agender.errors import BrokerError
from edge_agender.fleet.kinds import KINDS
from edge_agender.fleet.records import Arrival
from edge_agender.fleet.settings import NatsConfig

_log = logging.getLogger(__name__)
_Made = TypeVar("_Made")

STREAM, STORED = "$MQTT_msgs", "$MQTT.msgs."
# Retained messages and sessions.
BESIDE = ("$MQTT_rmsgs", "$MQTT_sess")
# Not stored within that time, a message goes to another collector.
ACK_WAIT_S = 60.0
ACK_PENDING = 20_000
CALL_S = 30.0
# A node of a cluster that has just started has no leader yet.
FIRST_S = 15.0
RETRY_S = 1.0


class JetStreamSource:
    """A context manager: entering starts to connect, for ever again; `wait` returns once the consumer exists."""

    def __init__(self, config: NatsConfig, prefix: str, clock: Callable[[], float] = time.time) -> None:
        self._config, self._prefix, self._clock = config, prefix.replace("/", "."), clock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._ready = threading.Event()
        self._client: Client | None = None
        self._js: JetStreamContext | None = None
        self._subscription: JetStreamContext.PullSubscription | None = None
        self._states: asyncio.Queue[Msg] = asyncio.Queue(20_000)
        self.connects = 0
        self.last_error: str | None = None

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected and self._ready.is_set()

    def __enter__(self) -> JetStreamSource:
        self._thread.start()
        self._opening: Future[None] = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opening.cancel()
        with contextlib.suppress(Exception):
            if self._client is not None:
                self._call(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        if not self._thread.is_alive():
            self._loop.close()

    def wait(self, timeout_s: float) -> None:
        """Return once the consumer exists: devices may publish from now on. Raises BrokerError after `timeout_s`."""
        if not self._ready.wait(timeout_s):
            raise BrokerError(self.last_error or f"NATS: no consumer within {timeout_s:.0f} s")

    def take(self, limit: int, wait_s: float) -> list[Arrival]:
        if not self._ready.wait(wait_s) or self._subscription is None:
            return []
        try:
            found = self._call(self._fetch(self._subscription, limit, wait_s))
        except (NatsError, TimeoutError, OSError) as error:
            self._tell(f"NATS: {type(error).__name__}: {error}")
            time.sleep(RETRY_S)
            return []
        return [self._arrival(message) for message in found]

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        async def acknowledge() -> None:
            for arrival in arrivals:
                if arrival.receipt is not None:
                    await arrival.receipt.ack()

        with contextlib.suppress(NatsError, TimeoutError, OSError):
            self._call(acknowledge())

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Send a command to a device; False where there is no connection, or to keep it, which needs MQTT."""
        if self._client is None or not self._client.is_connected or retain:
            return False
        try:
            self._call(self._client.publish(topic.replace("/", "."), payload))
        except (NatsError, TimeoutError, OSError):
            return False
        return True

    def lag(self) -> int | None:
        """Return how many messages wait at NATS; None where that is not known now."""
        if self._js is None or not self.connected:
            return None
        try:
            info = self._call(self._js.consumer_info(STREAM, self._config.consumer))
        except (NatsError, TimeoutError, OSError):
            return None
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    # -- on the loop

    def _call(self, made: Coroutine[Any, Any, _Made]) -> _Made:
        return asyncio.run_coroutine_threadsafe(made, self._loop).result(CALL_S)

    async def _open(self) -> None:
        while not self._ready.is_set():
            try:
                await self._connect()
                await self._consume()
                self._ready.set()
            except (NatsError, TimeoutError, OSError) as error:
                self._tell(f"NATS: {type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_S)

    async def _connect(self) -> None:
        if self._client is not None:
            return
        password = passwords.read_from(str(self._config.password_file)) if self._config.password_file else None
        self._client = await nats.connect(
            list(self._config.servers),
            user=self._config.user,
            password=password,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.5,
            ping_interval=5,
            max_outstanding_pings=2,
            error_cb=self._failed,
            reconnected_cb=self._reconnected,
        )
        self.connects += 1
        self._js = self._client.jetstream(domain=self._config.domain)

    async def _consume(self) -> None:
        """Make the consumer, or find the one of before."""
        assert self._client is not None
        assert self._js is not None
        try:
            await self._js.stream_info(STREAM)
        except NotFoundError:
            # The first MQTT connection makes the stream.
            await asyncio.get_running_loop().run_in_executor(None, self._first_connection)
        await self._limit()
        kinds = sorted({*KINDS, "status", "enabled", "reported"})
        wanted = ConsumerConfig(
            durable_name=self._config.consumer,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=ACK_PENDING,
            filter_subjects=[f"{STORED}{self._prefix}.*.{kind}" for kind in kinds],
        )
        await self._js.add_consumer(STREAM, wanted)
        self._subscription = await self._js.pull_subscribe_bind(self._config.consumer, STREAM)
        # Health has no acknowledgement: each message to one of the collectors.
        await self._client.subscribe(f"{self._prefix}.*.health", queue=self._config.consumer, cb=self._heard)

    async def _limit(self) -> None:
        """Let no device fill the nodes' disks, with messages, retained ones or sessions; those there are stay."""
        most = int(self._config.queued_mb * 1e6)
        ours = {"max_msgs_per_subject": self._config.queued_messages, "discard_new_per_subject": True}
        for name, limits in (
            (STREAM, {"max_bytes": most, **ours}),
            *((one, {"max_bytes": most // 10}) for one in BESIDE),
        ):
            try:
                await self._limit_stream(name, {"discard": DiscardPolicy.NEW, **limits})
            except (NatsError, TimeoutError) as error:
                _log.warning("NATS: %s has no limit: %s: see nats.queued_mb, and max_file at the nodes", name, error)

    async def _limit_stream(self, name: str, limits: Mapping[str, Any]) -> None:
        assert self._js is not None
        config = (await self._js.stream_info(name)).config
        if any(getattr(config, option) != value for option, value in limits.items()):
            await self._js.update_stream(config, **limits)

    def _first_connection(self) -> None:
        """Connect by MQTT once, at whichever node lets us; what fails is tried again with all the rest."""
        for address in self._config.mqtt_addresses:
            with contextlib.suppress(OSError):
                if self._connects(address):
                    return

    def _connects(self, address: str) -> bool:
        host, _, port = address.rpartition(":")
        client = MqttClient(CallbackAPIVersion.VERSION2, f"{self._config.consumer}-first", clean_session=True)
        if self._config.user is not None:
            password = passwords.read_from(str(self._config.password_file)) if self._config.password_file else None
            client.username_pw_set(self._config.user, password)
        client.connect(host.strip("[]"), int(port))
        until_s = time.monotonic() + FIRST_S
        while not client.is_connected() and time.monotonic() < until_s:
            client.loop(0.1)
        try:
            return client.is_connected()
        finally:
            client.disconnect()

    async def _fetch(self, subscription: JetStreamContext.PullSubscription, limit: int, wait_s: float) -> list[Msg]:
        found: list[Msg] = []
        while not self._states.empty() and len(found) < limit:
            found.append(self._states.get_nowait())
        with contextlib.suppress(TimeoutError):
            found += await subscription.fetch(limit, timeout=wait_s)
        return found

    def _arrival(self, message: Msg) -> Arrival:
        stored = message.subject.startswith(STORED)
        topic = message.subject.removeprefix(STORED).replace(".", "/")
        return Arrival(topic, message.data, self._clock(), receipt=message if stored else None)

    async def _heard(self, message: Msg) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._states.put_nowait(message)

    async def _failed(self, error: Exception) -> None:
        self._tell(f"NATS: {type(error).__name__}: {error}")

    async def _reconnected(self) -> None:
        self.connects += 1
        self.last_error = None

    def _tell(self, error: str) -> None:
        _log.log(logging.DEBUG if error == self.last_error else logging.WARNING, "%s", error)
        self.last_error = error
