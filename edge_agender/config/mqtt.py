"""The section `mqtt`: which brokers, as whom, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from edge_agender.config.addresses import parse_address
from edge_agender.config.section import Positive, Section, Topic, printable


class TlsConfig(Section):
    enabled: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False

    @model_validator(mode="after")
    def complete(self) -> TlsConfig:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: give both or neither")
        if self.certificate_file and not self.enabled and not self.ca_file:
            raise ValueError("a client certificate needs enabled: true or a ca_file")
        return self


def _at_most_once_or_at_least_once(value: int) -> int:
    if value == 2:
        raise ValueError("0 or 1: each message has a number by which one that came twice is known, so 2 adds nothing")
    return value


Qos = Annotated[int, Field(ge=0, le=2), AfterValidator(_at_most_once_or_at_least_once)]


class QosConfig(Section):
    frame: Qos = 0
    status: Qos = 1
    health: Qos = 0
    viewer: Qos = 1
    window: Qos = 1
    demographics: Qos = 1
    enabled: Qos = 1
    reported: Qos = 1
    discovery: Qos = 1


def _address_of_a_broker(value: str) -> str:
    parse_address(value)
    return value


BrokerAddress = Annotated[str, AfterValidator(_address_of_a_broker)]


class MqttConfig(Section):
    host: BrokerAddress = "localhost"
    hosts: Annotated[tuple[BrokerAddress, ...], Field(max_length=16)] = ()
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    protocol: Literal["5", "3.1.1"] = "5"
    prefix: Topic = "edge-agender"
    client_id: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(printable)] | None = None
    username: Annotated[str, AfterValidator(printable)] | None = None
    password_file: Path | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    ack_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 20.0
    reconnect_min_s: Positive = 1.0
    reconnect_max_s: Positive = 60.0
    qos: QosConfig = QosConfig()
    tls: TlsConfig = TlsConfig()

    @field_validator("protocol", mode="before")
    @classmethod
    def protocol_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def named(self) -> MqttConfig:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username: brokers know a password only with a name")
        return self

    @model_validator(mode="after")
    def addresses_agree(self) -> MqttConfig:
        addresses = [parse_address(text) for text in self.hosts or (self.host,)]
        if not self.hosts and self.port is not None and addresses[0].port not in (None, self.port):
            raise ValueError(f"host names port {addresses[0].port} and port says {self.port}: leave one of them out")
        for address in addresses:
            if address.tls is True and not self.uses_tls:
                raise ValueError("mqtts:// means TLS: set tls.enabled, or tls.ca_file")
            if address.tls is False and self.uses_tls:
                raise ValueError("mqtt:// means without TLS, which is set: write mqtts://, or the name alone")
        if self.hosts and parse_address(self.host).host not in {"localhost", *(one.host for one in addresses)}:
            raise ValueError("give host or hosts: host is not used where there are hosts")
        return self

    @property
    def brokers(self) -> tuple[MqttConfig, ...]:
        """One configuration for each address, in whose `host` stands the name or address alone."""
        return tuple(self._at(text) for text in self.hosts or (self.host,))

    def _at(self, text: str) -> MqttConfig:
        address = parse_address(text)
        return self.model_copy(update={"host": address.host, "port": address.port or self.port, "hosts": ()})

    @property
    def uses_tls(self) -> bool:
        return self.tls.enabled or self.tls.ca_file is not None

    @property
    def effective_port(self) -> int:
        return self.port or (8883 if self.uses_tls else 1883)

    @property
    def address(self) -> str:
        """Host and port as they are written in messages."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.effective_port}"
