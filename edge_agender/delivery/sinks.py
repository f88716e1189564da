"""Where messages go: through the outbox to the broker, or to standard output."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

from edge_agender.config.settings import Config
from edge_agender.delivery.inbox import Inbox, Resends
from edge_agender.delivery.mqtt.publisher import LinkState, Publisher
from edge_agender.delivery.outbox.outbox import Outbox, OutboxState
from edge_agender.device.health import SourceState
from edge_agender.messages.build import status_message
from edge_agender.messages.contract import State
from edge_agender.messages.discovery import birth_topic
from edge_agender.messages.inbound import MAX_DESIRED_BYTES
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender

DRAIN_POLL_S = 0.02


class Sink(Protocol):
    def put(self, message: Message) -> None:
        """Take a message; never blocks for the broker's sake."""

    def source(self, state: SourceState) -> None:
        """Say in the status what becomes of the source from now on."""

    def outbox(self) -> OutboxState | None: ...

    def link(self) -> LinkState | None: ...

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing waits to be sent; False where that took longer."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class MqttSink:
    """The outbox and the publisher that drains it; leaving says `stopped`, where it was meant."""

    def __init__(self, config: Config, sender: Sender, inbox: Inbox) -> None:
        self._stack = ExitStack()
        self._sender = sender
        self._source: SourceState = "starting"
        self._outbox = Outbox(config.outbox)
        self._publisher = Publisher(config.mqtt, config.device.name, self._outbox, self._status)
        self._publisher.subscribe(sender.topic("enabled/set"), inbox.enabled)
        self._publisher.subscribe(sender.topic("content"), inbox.content)
        if config.outbox.keep_sent_days:
            self._publisher.subscribe(sender.topic("resend"), Resends(self._outbox.send_again).take)
        if config.fleet.remote_config:
            # A little more than is read, so that what is too large is reported.
            self._publisher.subscribe(sender.topic("desired"), inbox.desired, MAX_DESIRED_BYTES + 1024)
        if config.home_assistant.enabled:
            self._publisher.subscribe(birth_topic(config.home_assistant.prefix), inbox.birth)

    def put(self, message: Message) -> None:
        self._outbox.put(message)

    def source(self, state: SourceState) -> None:
        self._source = state
        self._publisher.status_changed()

    def _status(self, state: State) -> Message:
        return status_message(self._sender, state, self._source if state == "online" else None)

    def outbox(self) -> OutboxState:
        return self._outbox.state()

    def link(self) -> LinkState:
        return self._publisher.state()

    def drain(self, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while (state := self._outbox.state()).live + state.durable:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(DRAIN_POLL_S)
        return True

    def __enter__(self) -> Self:
        self._stack.enter_context(self._outbox)
        self._stack.enter_context(self._publisher)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class StdoutSink:
    """Prints 'topic payload' lines, as `mosquitto_sub -v` would show them."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def put(self, message: Message) -> None:
        sys.stdout.write(f"{message.topic} {message.payload.decode()}\n")
        sys.stdout.flush()

    def source(self, state: SourceState) -> None:
        self.put(status_message(self._sender, "online", state))

    def outbox(self) -> None:
        return None

    def link(self) -> None:
        return None

    def drain(self, timeout_s: float) -> bool:
        return True

    def __enter__(self) -> Self:
        self.put(status_message(self._sender, "online", "starting"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not BrokenPipeError:
            self.put(status_message(self._sender, "stopped" if kind is None else "offline"))


def open_sink(kind: str, config: Config, sender: Sender, inbox: Inbox) -> Sink:
    """Return the sink named by `run --sink`; entering it opens it. What the broker tells us goes to `inbox`."""
    return StdoutSink(sender) if kind == "stdout" else MqttSink(config, sender, inbox)
