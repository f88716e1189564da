"""What every section of the configuration is made of: frozen, without unknown keys; and the types options share."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
# Thirty years in seconds: more is a typing error, and threading.TIMEOUT_MAX is not much more.
LARGEST = 1e9
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
# The unit's watchdog takes 30 s without a frame or another attempt to get one for a standstill.
Timeout = Annotated[float, Field(gt=0, le=20)]
# What the demo shows at once, and threads of a network.
MOST_PEOPLE, MOST_THREADS = 32, 8
TOPIC, TOPIC_LEVEL = r"^[^+#/$][^+#/]*(/[^+#/]+)*$", r"^[^+#/$\s][^+#/\s]*$"


def printable(value: str) -> str:
    """Brokers may close the connection on control characters, and nobody sees a mark that turns the writing round."""
    if not value.isprintable():
        raise ValueError("holds a character that cannot be printed: type it anew")
    return value


Topic = Annotated[str, Field(min_length=1, max_length=200, pattern=TOPIC), AfterValidator(printable)]
TopicLevel = Annotated[str, Field(min_length=1, max_length=64, pattern=TOPIC_LEVEL), AfterValidator(printable)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def empty_is_default(cls, value: object) -> object:
        """A section of which every line is commented out reads as null."""
        return {} if value is None else value


def option_names(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Yield the dotted name of every option below a section."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from option_names(field.annotation, f"{path}{name}.")
        else:
            yield path + name


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches. Of names, localhost alone: any other may point anywhere."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
