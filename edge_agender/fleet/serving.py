"""Everything that `fleet serve` runs, opened in order and closed in reverse."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edge_agender.config.settings import MqttConfig
from edge_agender.fleet.broker import MqttSource
from edge_agender.fleet.carrying import carry
from edge_agender.fleet.collector import Collector
from edge_agender.fleet.enrolment import expire
from edge_agender.fleet.healing import heal
from edge_agender.fleet.metrics import FleetMetrics, exposition
from edge_agender.fleet.mosquitto import COLLECTOR, OwnBroker
from edge_agender.fleet.page.context import Context
from edge_agender.fleet.page.server import PageServer
from edge_agender.fleet.publish import publish
from edge_agender.fleet.retention import delete_old
from edge_agender.fleet.rollup import roll_up
from edge_agender.fleet.settings import FleetConfig
from edge_agender.fleet.store import Database, StoreBusyError, open_database

if TYPE_CHECKING:
    from edge_agender.fleet.jetstream import JetStreamSource

_log = logging.getLogger(__name__)

LISTEN_S = 30.0
TURN_S = 1.0
# A device takes one command in five seconds.
HEAL_EVERY_S = 6.0
CARRY_EVERY_S = 2.0
PUBLISH_EVERY_S = 5.0
DELETE_EVERY_S = 600.0
EXPIRE_EVERY_S = 60.0


class Housekeeper:
    """What is done beside collecting, each at its own pace. `turn` does what is due."""

    def __init__(
        self,
        config: FleetConfig,
        database: Database,
        send: Callable[[str, bytes], bool],
        send_kept: Callable[[str, bytes], bool],
    ) -> None:
        self._config, self._database, self._send, self._send_kept = config, database, send, send_kept
        self._rules = config.publish.rules()
        self._due_s: dict[str, float] = {}
        self._stop = threading.Event()
        self.trouble: str | None = None
        self.hours_made = 0

    def run(self, stop: threading.Event) -> None:
        self._stop = stop
        while not stop.is_set():
            self.turn(time.time())
            stop.wait(TURN_S)

    def _until_done(self, task: Callable[[], int]) -> int:
        """Call a task until nothing is left of it, or a stop is asked for: a backlog of hours must not hold that up."""
        total = 0
        while not self._stop.is_set() and (done := task()):
            total += done
        return total

    def turn(self, now_s: float) -> None:
        """Do what is due. A store that is busy or full is tried again at the next turn."""
        try:
            self.hours_made += self._until_done(lambda: roll_up(self._database, self._rules, now_s))
            self._at_times(now_s)
        except StoreBusyError as error:
            if self.trouble is None:
                _log.warning("%s: hours wait", error)
            self.trouble = str(error)
        except Exception as error:  # collecting must not end because a sum failed
            _log.exception("housekeeping")
            self.trouble = f"{type(error).__name__}: {error}"
        else:
            self.trouble = None

    def _at_times(self, now_s: float) -> None:
        if self._is_due("publish", PUBLISH_EVERY_S, now_s):
            self._until_done(lambda: publish(self._database, self._rules, now_s))
        if self._config.heal.enabled and self._is_due("heal", HEAL_EVERY_S, now_s):
            heal(self._database, self._config.heal, self._config.prefix, self._send, now_s)
        if self._is_due("carry", CARRY_EVERY_S, now_s):
            carry(self._database, self._config.prefix, self._send_kept, self._config.offline_after_s, now_s)
        if self._is_due("expire", EXPIRE_EVERY_S, now_s):
            for name in expire(self._database, self._config, now_s):
                _log.info("%s: its credential has ended", name)
        if self._is_due("delete", DELETE_EVERY_S, now_s):
            self._until_done(lambda: delete_old(self._database, self._config.keep, now_s))

    def _is_due(self, what: str, every_s: float, now_s: float) -> bool:
        due = now_s >= self._due_s.get(what, 0.0)
        if due:
            self._due_s[what] = now_s + every_s
        return due


class Fleet:
    """A context manager: entering starts broker, collector, housekeeping and page; leaving stops them."""

    def __init__(self, config: FleetConfig) -> None:
        self.config = config
        self._stack = ExitStack()
        self._stop = threading.Event()
        self.page_port = 0

    def __enter__(self) -> Fleet:
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def where(self) -> str:
        """Which broker this collects from."""
        if self.broker is not None:
            return f"its own Mosquitto on {self.config.own.host}:{self.config.own.port}"
        if self.config.broker == "nats":
            return ", ".join(self.config.nats.servers)
        return ", ".join(broker.address for broker in self.config.mqtt.brokers)

    def _close(self) -> None:
        self._stop.set()
        self._stack.close()

    def _open(self) -> None:
        config = self.config
        self.database = open_database(config.store_url)
        self._stack.callback(self.database.close)
        self.broker = self._own_broker() if config.broker == "own" else None
        self.source = self._source()
        self.collector = Collector(self.source, self.database, config.prefix)
        self.housekeeper = Housekeeper(config, self.database, self.source.publish, self._send_kept)
        self._thread("collector", self.collector.run)
        self._thread("housekeeper", self.housekeeper.run)
        if config.page.enabled:
            self.page_port = self._stack.enter_context(PageServer(self._context())).port

    def _send_kept(self, topic: str, payload: bytes) -> bool:
        """Publish a retained message; where that cannot be, one for who listens now: devices are asked again."""
        return self.source.publish(topic, payload, retain=True) or self.source.publish(topic, payload)

    def _context(self) -> Context:
        shown = FleetMetrics(self.database, self.collector, self.source.lag, lambda: self.source.connected)
        return Context(self.config, self.database, lambda: exposition(shown), self.troubles)

    def troubles(self) -> list[str]:
        """What keeps the fleet from collecting or adding up, in words; empty when all is well."""
        found = [self.collector.trouble, self.housekeeper.trouble]
        if not self.source.connected:
            found.append(self.source.last_error or "no connection to the broker")
        return [text for text in found if text]

    def _own_broker(self) -> OwnBroker:
        return self._stack.enter_context(
            OwnBroker(self.config.own, self.config.folder / "mosquitto", self.config.prefix)
        )

    def _source(self) -> MqttSource | JetStreamSource:
        if self.config.broker == "nats":
            # Here, so that a fleet without NATS needs no package for it.
            from edge_agender.fleet.jetstream import JetStreamSource

            return self._stack.enter_context(JetStreamSource(self.config.nats, self.config.prefix))
        mqtt = self._mqtt_of(self.broker) if self.broker is not None else self.config.mqtt
        mqtt = mqtt.model_copy(update={"prefix": self.config.prefix})
        own = self.broker.client_id if self.broker is not None else COLLECTOR
        source = self._stack.enter_context(MqttSource(mqtt, mqtt.client_id or own))
        if self.broker is not None:
            source.wait(LISTEN_S)
        return source

    def _mqtt_of(self, own_broker: OwnBroker) -> MqttConfig:
        own = self.config.own
        values: dict[str, Any] = {
            "host": "127.0.0.1" if own.host in ("0.0.0.0", "::") else own.host,
            "port": own.port,
            "username": COLLECTOR,
            "password_file": own_broker.credentials.folder / "collector-password",
        }
        if own.certificate_file is not None:
            values["tls"] = {"enabled": True, "ca_file": own.ca_file}
        return MqttConfig(**values)

    def _thread(self, name: str, run: Callable[[threading.Event], None]) -> None:
        thread = threading.Thread(target=run, args=(self._stop,), name=name, daemon=True)
        thread.start()

        def end() -> None:
            self._stop.set()
            thread.join(60)

        self._stack.callback(end)
