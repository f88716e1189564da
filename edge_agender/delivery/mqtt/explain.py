"""Why a connection failed -> one line that says what to do."""

from __future__ import annotations

import socket
import ssl
import time

from paho.mqtt.reasoncodes import ReasonCode

from edge_agender.config.settings import MqttConfig
from edge_agender.errors import BrokerError, CredentialError, EdgeAgenderError


def explain(error: OSError | ValueError, config: MqttConfig) -> EdgeAgenderError:
    """Turn what `connect` raised into one line that says what to do."""
    if isinstance(error, EdgeAgenderError):
        return error
    where = f"broker {config.host}:{config.effective_port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return CredentialError(f"{where}: {_explain_certificate(error, config)}")
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").replace("_", " ").lower()
        return BrokerError(f"{where}: TLS failed ({reason}): check that this port speaks TLS 1.2 or later")
    if isinstance(error, socket.gaierror):
        return BrokerError(f"{where}: unknown host: check mqtt.host and the DNS of this network")
    if isinstance(error, ConnectionRefusedError):
        return BrokerError(f"{where}: nothing listens there: start the broker, or correct mqtt.host and mqtt.port")
    if isinstance(error, TimeoutError):
        return BrokerError(f"{where}: no answer: check the broker, the network and the firewall")
    if isinstance(error, ConnectionError):
        return BrokerError(f"{where}: it closed the connection: check that this port speaks {_spoken(config)}")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return BrokerError(f"{where}: {reason}: check the network")


def _spoken(config: MqttConfig) -> str:
    return "MQTT over TLS 1.2 or later" if config.uses_tls else "MQTT without TLS, or set mqtt.tls.ca_file"


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


def explain_closed(config: MqttConfig, answered: bool) -> EdgeAgenderError:
    """What to do where the broker hung up after TCP and TLS had worked; `answered`: it had accepted us."""
    where = f"broker {config.host}:{config.effective_port}"
    if answered:
        return BrokerError(f"{where}: the connection was lost: check the broker and the network")
    if config.tls.certificate_file is not None:
        text = f"it hung up: it may refuse the client certificate {config.tls.certificate_file}: renew it"
        return CredentialError(f"{where}: {text}")
    if config.uses_tls:
        text = "it hung up: it may want a client certificate: set mqtt.tls.certificate_file and key_file"
        return CredentialError(f"{where}: {text}")
    return BrokerError(f"{where}: it hung up: check that this port speaks {_spoken(config)}")


def explain_refusal(reason: ReasonCode, config: MqttConfig, name: str) -> EdgeAgenderError:
    """What to do about a CONNACK that says no, or a DISCONNECT from the broker."""
    where = f"broker {config.host}:{config.effective_port}"
    if reason.value in (134, 135, 140):
        who = f"user {config.username}" if config.username else "a client without a name"
        text = f"it refuses {who}: check mqtt.username, mqtt.password_file and the broker's ACL"
        return CredentialError(f"{where}: {text}")
    if reason.value in (132, 1):
        return BrokerError(f"{where}: it does not speak MQTT {config.protocol}: set the other mqtt.protocol")
    if reason.value == 133:
        return BrokerError(f"{where}: it refuses the client id {name}: set mqtt.client_id")
    if reason.value == 142:
        return BrokerError(f"{where}: another client calls itself {name}: give each device its own device.name")
    return BrokerError(f"{where}: it says {str(reason).lower()}: see the broker's log")
