"""What to do about every way in which a broker cannot be reached, refuses, or ends a connection: one line each."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.config.settings import MqttConfig
from edge_agender.delivery.mqtt import diagnose
from edge_agender.delivery.mqtt.connection import ask_languages, password_path
from edge_agender.delivery.mqtt.diagnose import Language
from edge_agender.errors import BrokerError, CredentialError, EdgeAgenderError

MAX_REASON_LENGTH = 120


class TakenOverError(BrokerError):
    """Another client connected with our client id."""


class ClosedError(BrokerError):
    """The broker let us in and closed the connection without a word, with no message on its way that it could mind."""


class SilentError(BrokerError):
    """The broker is there and answers nothing, or acknowledges nothing."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended that was open. `first`: the first bytes received; `error`: of the socket, None for EOF.

    `accepted`: there was a CONNACK that let us in. `carrying`: a durable message was not acknowledged yet.
    """

    accepted: bool
    first: bytes = b""
    error: OSError | None = None
    silent: bool = False
    carrying: bool = False


def where(config: MqttConfig) -> str:
    """Name a broker in a message."""
    return f"broker {config.address}"


# -- before the connection is open


def explain(error: OSError | ValueError, config: MqttConfig) -> EdgeAgenderError:
    """Turn what connecting raised into one line that says what to do."""
    if isinstance(error, EdgeAgenderError):
        return error
    place = where(config)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CredentialError(f"{place}: {_explain_certificate(error, config)}")
    if isinstance(error, ssl.SSLError):
        return _as_error(config, _explain_tls(error, config))
    if isinstance(error, socket.gaierror):
        return BrokerError(f"{place}: unknown host: check mqtt.host and the DNS of this network")
    if isinstance(error, ConnectionRefusedError):
        return BrokerError(f"{place}: nothing listens there: start the broker, or correct mqtt.host and mqtt.port")
    if isinstance(error, TimeoutError):
        return BrokerError(f"{place}: no answer: check the broker, the network and the firewall")
    if isinstance(error, ConnectionError) and config.uses_tls:
        return BrokerError(f"{place}: {_no_tls(config)}")
    if isinstance(error, UnicodeError):
        return BrokerError(f"{place}: this is no host name: correct mqtt.host")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return BrokerError(f"{place}: {reason}: check the network")


def _explain_tls(error: ssl.SSLError, config: MqttConfig) -> str:
    reason = (error.reason or "").replace("_", " ").lower()
    if "certificate required" in reason or "handshake failure" in reason or "bad certificate" in reason:
        return _explain_client_certificate(config, reason)
    if reason in ("wrong version number", "unexpected eof while reading", "record layer failure"):
        return _no_tls(config)
    return f"TLS failed ({reason or 'no reason given'}): check that this port speaks TLS 1.2 or later"


def _no_tls(config: MqttConfig) -> str:
    if any(language.startswith("MQTT") for language in diagnose.languages(config.host, config.effective_port)):
        return "this port speaks MQTT without TLS: set mqtt.port to the broker's TLS port, usually 8883"
    return "it closed the connection: check that this port speaks MQTT over TLS 1.2 or later"


def _explain_client_certificate(config: MqttConfig, reason: str) -> str:
    if config.tls.certificate_file is None:
        return f"it may want a client certificate ({reason}): set mqtt.tls.certificate_file and key_file"
    return f"it may refuse the client certificate {config.tls.certificate_file} ({reason}): renew it"


def _explain_certificate(error: ssl.SSLCertVerificationError, config: MqttConfig) -> str:
    # Codes of OpenSSL's x509_vfy.h. A Pi has no battery-backed clock, so its clock is the first suspect.
    clock = time.strftime("%Y-%m-%d", time.gmtime())
    if error.verify_code == 9:
        return f"its certificate is not valid yet: check this device's clock ({clock})"
    if error.verify_code == 10:
        return f"its certificate expired: renew it, or set this device's clock ({clock})"
    if error.verify_code in (62, 64):
        return f"its certificate is not for {config.host}: set mqtt.host to the name in the certificate"
    if error.verify_code in (18, 19, 20, 21) and config.tls.ca_file is not None:
        return f"its certificate is not signed by the CA in {config.tls.ca_file}: give the CA that signed it"
    if error.verify_code in (18, 19, 20, 21):
        return "its certificate is not signed by a CA that this system knows: give its CA as mqtt.tls.ca_file"
    return f"its certificate is refused ({error.verify_message}): check mqtt.tls.ca_file"


# -- once it was open


def explain_ending(
    config: MqttConfig,
    name: str,
    ending: Ending,
    ask: Callable[[MqttConfig], Sequence[Language]] | None = ask_languages,
) -> EdgeAgenderError:
    """What to do where the connection was open and ended, or stayed silent, without a reason from the broker.

    `ask` is called where that leaves open what speaks at the port; None: there is no time to ask.
    """
    place = where(config)
    if ending.accepted:
        return _explain_lost(place, ending)
    if isinstance(ending.error, ssl.SSLError):
        return _as_error(config, _explain_tls(ending.error, config))
    refusal = _former_refusal(ending.first)
    if refusal is not None:
        return explain_code(refusal, config, name)
    if what := diagnose.of_first_bytes(ending.first):
        if what == "TLS":
            return BrokerError(f"{place}: {_speaks_tls(config)}")
        return BrokerError(f"{place}: what answers there is {what}: correct mqtt.host and mqtt.port")
    return _as_error(config, _explain_wordless(config, ending, ask), silent=ending.silent)


def _explain_lost(place: str, ending: Ending) -> EdgeAgenderError:
    if ending.silent:
        return SilentError(f"{place}: no answer any more: check the broker, the network and the firewall")
    if ending.error is not None and not isinstance(ending.error, ConnectionError):
        return BrokerError(f"{place}: the connection was ended here: {ending.error}: check what publishes there")
    kind = BrokerError if ending.carrying else ClosedError
    return kind(f"{place}: the connection was lost: check the broker and the network")


def explain_closed_again(config: MqttConfig, name: str) -> EdgeAgenderError:
    """What to do about a broker that lets us in and closes, again and again: most do not say who took our place."""
    text = f"it lets us in and closes, again and again: another client may use the client id {name}"
    return TakenOverError(f"{where(config)}: {text}: give each device its own device.name, or mqtt.client_id")


def explain_unacknowledged(config: MqttConfig, for_s: float) -> EdgeAgenderError:
    """What to do about a broker that answers pings and acknowledges nothing."""
    text = f"it answers, but has acknowledged nothing for {for_s:g} s: see its log, its disk and its load"
    return SilentError(f"{where(config)}: {text}")


def _as_error(config: MqttConfig, text: str, *, silent: bool = False) -> EdgeAgenderError:
    kind = CredentialError if "client certificate" in text else SilentError if silent else BrokerError
    return kind(f"{where(config)}: {text}")


def _former_refusal(first: bytes) -> int | None:
    """The code of a CONNACK of MQTT 3.1.1 that says no, which the library does not hand on; as a code of MQTT 5."""
    if len(first) < 4 or first[:2] != b"\x20\x02" or not first[3]:
        return None
    return {1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}.get(first[3], 0x80)


def _speaks_tls(config: MqttConfig) -> str:
    return "this port speaks TLS: set mqtt.tls.ca_file or mqtt.tls.enabled, or give the port without TLS in mqtt.port"


def _explain_wordless(
    config: MqttConfig, ending: Ending, ask: Callable[[MqttConfig], Sequence[Language]] | None
) -> str:
    """It took our CONNECT and closed, or kept silent: ask what it does speak."""
    did = "accepts the connection and does not answer" if ending.silent else "closes the connection after CONNECT"
    if ask is None:
        return f"it {did}: it is starting or overloaded, or does not speak MQTT {config.protocol}: see its log"
    spoken = ask(config)
    own = f"MQTT {config.protocol}"
    if own in spoken:
        return f"it {did}, though it speaks {own}: it is starting or overloaded, or refuses this client: see its log"
    for language in ("MQTT 3.1.1", "MQTT 5"):
        if language in spoken:
            protocol = language.removeprefix("MQTT ")
            return f"it {did}: it does not speak {own}, but {language}: set mqtt.protocol: {protocol}"
    if config.uses_tls and not spoken:
        return _explain_client_certificate(config, f"it {did}")
    if "TLS" in spoken:
        return _speaks_tls(config)
    if "HTTP" in spoken:
        return "a web server answers there, or MQTT over websockets: set mqtt.port to the broker's MQTT port"
    return (
        f"it {did}: a broker may still be starting; if it lasts, try mqtt.protocol: {_other_protocol(config)}, "
        "and check that this port speaks MQTT"
    )


def _other_protocol(config: MqttConfig) -> str:
    return "3.1.1" if config.protocol == "5" else "5"


# -- what the broker says


def explain_refusal(
    reason: ReasonCode, properties: Properties | None, config: MqttConfig, name: str
) -> EdgeAgenderError:
    """What to do about a CONNACK that says no, or a DISCONNECT from the broker."""
    said = clean(getattr(properties, "ReasonString", ""))
    reference = clean(getattr(properties, "ServerReference", ""))
    if reference and reason.value in (0x9C, 0x9D):
        return BrokerError(
            f"{where(config)}: it says to use {reference} instead: set mqtt.host to that if you trust it"
        )
    return explain_code(reason.value, config, name, said)


def explain_code(code: int, config: MqttConfig, name: str, said: str = "") -> EdgeAgenderError:
    """Return the error for a reason code of MQTT 5 (section 2.4); `said`: the broker's own words."""
    place, own_words = where(config), f" (“{said}”)" if said else ""
    if code in (0x86, 0x87, 0x8C):
        text = f"it refuses {_user(config)}{own_words}: check mqtt.username, mqtt.password_file and the broker's ACL"
        return CredentialError(f"{place}: {text}")
    if code == 0x8E:
        text = f"another client uses the client id {name}: give each device its own device.name, or mqtt.client_id"
        return TakenOverError(f"{place}: {text}")
    text = _TEXTS.get(code, "").format(name=name, protocol=config.protocol, other=_other_protocol(config))
    if not text:
        text = f"it ended the connection with code 0x{code:02X}: see the broker's log"
    finding, colon, remedy = text.partition(": ")
    return BrokerError(f"{place}: {finding}{own_words}{colon}{remedy}")


_BUSY = "it is starting, stopping or overloaded: nothing to do unless it lasts; then see its log"
_TEXTS = {
    0x00: "it ended the connection: see the broker's log",
    0x80: "it gives no reason: see the broker's log",
    0x81: "it finds a packet malformed: see the broker's log, and check that it speaks MQTT {protocol}",
    0x82: "it finds an error of protocol: see the broker's log, and check that it speaks MQTT {protocol}",
    0x83: "it refuses for a reason of its own: see the broker's log",
    0x84: "it does not speak MQTT {protocol}: set mqtt.protocol: {other}",
    0x85: "it refuses the client id {name}: set mqtt.client_id to letters, digits and -, at most 23",
    0x88: _BUSY,
    0x89: _BUSY,
    0x8A: "it has banned this client: ask whoever runs the broker",
    0x8B: "it is shutting down: nothing to do unless it stays away",
    0x8D: "it heard nothing from this device for too long: check the network, or lower mqtt.keepalive_s",
    0x90: "it refuses a topic's name: use letters, digits and - in mqtt.prefix and device.name",
    0x93: "more messages were on their way than it takes at once: see the broker's log",
    0x95: "it refuses a packet as too large: raise its limit on the size of packets",
    0x96: "messages come too fast for it: lower publish.max_rate_hz or outbox.replay_rate_hz, or raise its limit",
    0x97: "a quota of this client is used up: raise it at the broker",
    0x98: "its administrator ended the connection: ask whoever runs the broker",
    0x99: "it refuses a payload's format: see the broker's log",
    0x9A: "it keeps no retained messages: see the broker's log",
    0x9B: "it does not take this quality of service: see the broker's log",
    0x9C: "it says to use another server: ask which, and set mqtt.host",
    0x9D: "it has moved to another server: ask where to, and set mqtt.host",
    0x9F: "connections come too fast for it: nothing to do unless it lasts",
    0xA0: "it ends every connection after some time: nothing to do",
}


def _user(config: MqttConfig) -> str:
    if config.username is None:
        return "a client without a user name"
    # Some brokers take an access token for the user name, and then no password.
    if password_path(config) is None:
        return "this user, for whom no password is configured"
    return f"user {config.username}"


def clean(text: str) -> str:
    """Return a broker's words fit for a log: printable and short."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown[:MAX_REASON_LENGTH].split())
