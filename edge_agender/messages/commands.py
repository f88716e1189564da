"""The shape of what others may send: the part of the contract that `inbound` reads."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic's own need below Python 3.12

from edge_agender.messages.contract import BootId, Count, Utc


class ContentCommand(TypedDict):
    """What the sign shows now, told by the player."""

    id: Annotated[str | None, Field(min_length=1, max_length=64, description="Null: nothing that counts.")]
    until: NotRequired[Annotated[Utc | None, Field(description="When it ends, if known; else until the next message.")]]


class EnabledCommand(TypedDict):
    """The remote switch. The plain words on and off are understood too."""

    enabled: bool


class ResendCommand(TypedDict("ResendCommand", {"from": Count, "to": Count})):
    """Send these once more, as far as they are kept (`outbox.keep_sent_days`): the collector has not got them."""

    kind: Annotated[str, Field(min_length=1, max_length=32, description="Such as window or demographics.")]
    boot_id: BootId


class DesiredCommand(TypedDict):
    """A configuration from afar, retained. An empty message takes it back: the device's own file is in force alone."""

    revision: Annotated[int, Field(ge=1, lt=2**53, description="Higher than that of the one before.")]
    configuration: Annotated[
        dict[str, Any], Field(description="Sections and options as in config.yaml; what is left out is local.")
    ]


COMMANDS: dict[str, type] = {
    "content": ContentCommand,
    "enabled-set": EnabledCommand,
    "resend": ResendCommand,
    "desired": DesiredCommand,
}
# Where each is sent, below {prefix}/{device}/.
COMMAND_TOPICS = {kind: kind.replace("-", "/") for kind in COMMANDS}
