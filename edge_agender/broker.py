"""How to reach the broker: credentials, TLS, the CONNECT itself, and what to do about every way in which it fails."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import time
from pathlib import Path

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agender import passwords
from edge_agender.errors import BrokerError, CredentialError, EdgeAgenderError
from edge_agender.settings import MqttConfig, TlsConfig

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
# Larger packets for us are refused by an MQTT 5 broker before they reach our memory.
MAX_INCOMING_BYTES = 65536
CREDENTIAL_NAME = "mqtt-password"


def client_id(config: MqttConfig, device: str) -> str:
    """The configured client id, or one that is the same after every restart and differs between devices."""
    return config.client_id or f"{config.prefix}-{device}".replace("/", "-")


def new_client(config: MqttConfig, name: str) -> Client:
    """Return a client that is ready to connect. Files are read anew, so that renewed certificates take effect.

    Raises CredentialError where the password, the CA, the certificate or the key cannot be read.
    """
    version = MQTTv5 if config.protocol == "5" else MQTTv311
    clean = None if config.protocol == "5" else True
    client = Client(
        CallbackAPIVersion.VERSION2, name, protocol=version, clean_session=clean, reconnect_on_failure=False
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_queued_messages_set(0)
    if config.username is not None:
        client.username_pw_set(config.username, read_password(config))
    if config.uses_tls:
        client.tls_set_context(tls_context(config.tls))
    return client


def connect(client: Client, config: MqttConfig) -> None:
    """Open the connection and send CONNECT; blocks for DNS, TCP and TLS. Raises OSError."""
    where = (config.host, config.effective_port, config.keepalive_s)
    if config.protocol != "5":
        client.connect(*where)
        return
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MAX_INCOMING_BYTES
    client.connect(*where, clean_start=True, properties=properties)


def read_password(config: MqttConfig) -> str | None:
    """Return the password of `password_file`, else of systemd's credential, else None; raise CredentialError."""
    path = config.password_file
    if path is None and (folder := os.environ.get("CREDENTIALS_DIRECTORY")):
        credential = Path(folder, CREDENTIAL_NAME)
        path = credential if credential.exists() else None
    if path is None:
        return None
    origin = f"mqtt.password_file {path}"
    with passwords.explained(origin, "give a file that this user may read, or use sudo"), path.open("rb") as file:
        raw = file.read(passwords.MAX_BYTES + 1)
        password = raw.decode().rstrip("\r\n")
    if not password or len(raw) > passwords.MAX_BYTES:
        raise CredentialError(f"{origin}: empty or too long: put the password alone into it")
    return password


def tls_context(config: TlsConfig) -> ssl.SSLContext:
    """Return a context that wants TLS 1.2 or later and checks chain and name; raise CredentialError."""
    context = _verifying_context(config.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 asks for extensions that the usual home-made CA lacks: what works on bookworm must on trixie too.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate_file is not None:
        _load_certificate(context, config.certificate_file, config.key_file)
    return context


def warn_if_insecure(config: MqttConfig) -> None:
    if config.uses_tls and config.tls.insecure:
        _log.warning(
            "mqtt.tls.insecure: ANYBODY ON THE NETWORK CAN PRETEND TO BE THE BROKER and read the password: "
            "give a ca_file and remove insecure"
        )


def _verifying_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise CredentialError(f"mqtt.tls.ca_file {ca_file}: holds no certificate in PEM form") from None
    except OSError as error:
        raise CredentialError(
            f"mqtt.tls.ca_file {ca_file}: {error.strerror}: give a file that this user may read"
        ) from None


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    def no_password() -> str:
        raise CredentialError(f"mqtt.tls.key_file {key}: it is encrypted: give a key without a password")

    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError:
        text = f"mqtt.tls: {certificate} and {key} are not a certificate and its key in PEM form"
        raise CredentialError(text) from None
    except CredentialError:
        raise
    except OSError as error:
        text = f"mqtt.tls: {certificate} or {key}: {error.strerror}: let this user read both"
        raise CredentialError(text) from None


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


def check_connection(config: MqttConfig, device: str = "edge-agender") -> None:
    """Connect and disconnect once; raise BrokerError or CredentialError with one line that says what to do."""
    name = client_id(config, device) + "-check"
    client = new_client(config, name)
    answers: list[ReasonCode] = []
    client.on_connect = lambda *args: answers.append(args[3])
    try:
        connect(client, config)
    except (OSError, ValueError) as error:
        raise explain(error, config) from None
    until_s = time.monotonic() + CONNECT_TIMEOUT_S
    while not answers and time.monotonic() < until_s and client.loop(0.2) == 0:
        pass
    client.disconnect()
    if not answers and time.monotonic() >= until_s:
        raise explain(TimeoutError(), config)
    if not answers:
        raise explain_closed(config, answered=False)
    if answers[0].is_failure:
        raise explain_refusal(answers[0], config, name)
