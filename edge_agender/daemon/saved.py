"""What the death of the process must neither lose nor say twice: open windows, the sign's content, unsent messages.

A window's message is on disk before the outbox gets it, beside the sums that no longer hold it. So whenever the process
is killed, the next one either finds the message there, and sends those same bytes (boot id and sequence included), or
finds the window still open: nothing is counted in two messages that differ.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_agender.audience.measures import Content
from edge_agender.audience.spans import number, whole
from edge_agender.common import strict_json
from edge_agender.config.settings import SourceConfig
from edge_agender.device.clock import clock_synchronised
from edge_agender.device.state import LateSaver, StateFolder
from edge_agender.messages.inbound import parse_content
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender

NAME, FORMAT = "windows", 4
# What is published of a window once it is over.
DURABLE = {"window", "demographics"}
KEYS = {"format", "device", "source", "audience", "content", "quiet", "unsent"}
MOST_UNSENT = 1000
# The outbox flushes what it was given within 0.2 s: so long what was handed over stays here too.
KEPT_S = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a former process left: open windows, what the sign showed, messages that may not be on their way.

    `audience` and `quiet` are still to be validated, by those whose snapshots they are.
    """

    audience: Any
    content: Content
    quiet: Any
    unsent: tuple[Message, ...]


class SavedState:
    """One device's and one source's figures on disk. One thread; times are time.monotonic() seconds."""

    def __init__(self, folder: StateFolder, sender: Sender, source: SourceConfig) -> None:
        self._folder, self._sender = folder, sender
        self._saver = LateSaver(folder, NAME)
        self.source = source
        self.quiet: Mapping[str, Any] | None = None
        self._ahead: list[tuple[int, Message]] = []
        self._handed: list[tuple[float, Message]] = []

    def load(self) -> Found | None:
        """Return what a former process left; None where it left nothing, or nothing that can be used."""
        data = self._folder.load(NAME)
        if data is None:
            return None
        try:
            return self._found(data)
        except ValueError as error:
            self.refuse(str(error))
            return None

    def utc_s(self) -> float:
        """Return the time by which to judge what was found, in UTC seconds.

        A board without a clock of its own starts in the past, a day or a year: then nothing of the last life is in the
        future. Once the clock was set from the network, it is the judge.
        """
        written_utc_s = None if clock_synchronised() else self._folder.written_utc_s(NAME)
        return max(time.time(), written_utc_s or 0.0)

    def refuse(self, reason: str) -> None:
        """What was found cannot be right after all."""
        self._folder.set_aside(NAME, reason)

    def save(self, audience: Mapping[str, Any], content: Content, now_s: float) -> None:
        """Have the sums on disk soon, with whatever the outbox may not have yet."""
        self._save(audience, content, now_s)

    def save_ahead(
        self, messages: Iterable[Message], audience: Mapping[str, Any], content: Content, now_s: float
    ) -> None:
        """Have messages on disk before they go anywhere; `audience` no longer counts what they say."""
        self._ahead += [(0, message) for message in messages]
        ticket = self._save(audience, content, now_s)
        self._ahead = [(number or ticket, message) for number, message in self._ahead]

    def ready(self, now_s: float, *, wait: bool = True) -> list[Message]:
        """Return the messages that are on disk, or that the disk refused, each once; all of them without `wait`."""
        ready = [message for ticket, message in self._ahead if not wait or self._saver.settled(ticket)]
        self._ahead = self._ahead[len(ready) :]
        self._handed += [(now_s, message) for message in ready]
        return ready

    @property
    def clears_at_s(self) -> float:
        """When what was handed over need no longer be kept here; infinite where nothing was."""
        return self._handed[-1][0] + KEPT_S if self._handed else float("inf")

    def wait(self, timeout_s: float) -> None:
        """Wait until all is written, or the card has had its time."""
        self._saver.wait(timeout_s)

    def resume(self, messages: Iterable[Message]) -> None:
        """Go on with messages that a former process left: they are on disk already."""
        self._ahead += [(0, message) for message in messages]

    def _save(self, audience: Mapping[str, Any], content: Content, now_s: float) -> int:
        self._handed = [(at_s, message) for at_s, message in self._handed if now_s - at_s < KEPT_S]
        unsent = [message for _, message in self._handed] + [message for _, message in self._ahead]
        return self._saver.save(
            {
                "format": FORMAT,
                "device": self._device,
                "source": identity(self.source),
                "audience": audience,
                "content": _content_to_plain(content),
                "quiet": self.quiet,
                "unsent": [_message_to_plain(message) for message in unsent],
            }
        )

    @property
    def _device(self) -> str:
        return f"{self._sender.prefix}/{self._sender.device}"

    def _found(self, data: Any) -> Found:
        if _mapping(data, KEYS)["format"] != FORMAT:
            raise ValueError("written by another version")
        if data["device"] != self._device:
            raise ValueError("the figures of another device")
        if data["source"] != identity(self.source):
            raise ValueError("the figures of another source")
        unsent = data["unsent"]
        if not isinstance(unsent, list) or len(unsent) > MOST_UNSENT:
            raise ValueError("unsent messages that are none")
        messages = tuple(_message_from_plain(each, self._sender) for each in unsent)
        return Found(data["audience"], _content_from_plain(data["content"]), data["quiet"], messages)


def identity(source: SourceConfig) -> str:
    """Return a short mark of what is looked at, not of how: another camera is another source, another size is not.

    Too short to try guesses of an address on. A camera's new password makes no other camera of it.
    """
    what = {
        "picamera2": source.picamera2.camera,
        "opencv": _without_user(source.opencv.uri or ""),
        "images": [str(path) for path in source.images.paths],
        "demo": "",
    }[source.kind]
    return hashlib.sha256(f"{source.kind} {what}".encode()).hexdigest()[:6]


def _without_user(uri: str) -> str:
    scheme, mark, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _content_to_plain(content: Content) -> dict[str, Any] | None:
    return None if content.id is None else {"id": content.id, "until_utc_s": content.until_utc_s}


def _content_from_plain(value: Any) -> Content:
    """Return the content, its id validated as when the sign said it; raise ValueError for anything else."""
    if value is None:
        return Content(None)
    data = _mapping(value, {"id", "until_utc_s"})
    said = parse_content(json.dumps({"id": data["id"]}, ensure_ascii=False).encode())
    until_s = data["until_utc_s"]
    return replace(said, until_utc_s=None if until_s is None else number(until_s, -1e12))


def _message_to_plain(message: Message) -> dict[str, Any]:
    return {"kind": message.kind, "qos": message.qos, "payload": message.payload.decode()}


def _message_from_plain(value: Any, sender: Sender) -> Message:
    """Return a durable message of this device; raise ValueError for anything else."""
    data = _mapping(value, {"kind", "qos", "payload"})
    kind, qos, text = data["kind"], whole(data["qos"]), data["payload"]
    if not (isinstance(kind, str) and kind in DURABLE and qos <= 2 and isinstance(text, str)):
        raise ValueError("an unsent message that is none")
    payload = strict_json.parse(text.encode())
    said = payload if isinstance(payload, dict) else {}
    if said.get("schema") != f"edge-agender.{kind}" or said.get("device") != sender.device:
        raise ValueError("an unsent message of another kind or device")
    if not isinstance(said.get("boot_id"), str) or not isinstance(said.get("sequence"), int):
        raise ValueError("an unsent message without a boot id or sequence")
    return Message(kind, sender.topic(kind), text.encode(), qos, retain=False, durable=True)


def _mapping(value: Any, keys: set[str]) -> Mapping[str, Any]:
    """Return a mapping that has these keys and no others."""
    if not isinstance(value, dict) or set(value) != keys:
        raise ValueError(f"not {', '.join(sorted(keys))}")
    return value
