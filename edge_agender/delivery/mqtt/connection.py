"""How to reach the broker: client id, credentials, TLS, the CONNECT itself."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agender.common.files import opened
from edge_agender.config import secrets as passwords
from edge_agender.config.settings import MqttConfig, TlsConfig
from edge_agender.delivery.mqtt import diagnose
from edge_agender.delivery.mqtt.bounded import BoundedClient
from edge_agender.delivery.mqtt.diagnose import Language
from edge_agender.device.systemd import credential
from edge_agender.errors import CredentialError

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
# The largest packet that is read: of commands, and of what others' devices publish.
MAX_COMMAND_PACKET_BYTES, MAX_MESSAGE_PACKET_BYTES = 8192, 262_144
CREDENTIAL_NAME = "mqtt-password"


def client_id(config: MqttConfig, device: str) -> str:
    """The configured client id, or one that is the same after every restart and differs between devices."""
    return config.client_id or f"{config.prefix}-{device}".replace("/", "-")


def new_client(
    config: MqttConfig, name: str, limit_bytes: int = MAX_COMMAND_PACKET_BYTES, *, keeps_session: bool = False
) -> BoundedClient:
    """Return a client that is ready to connect. Files are read anew, so that renewed certificates take effect.

    Of a packet larger than `limit_bytes` no more than that is kept in memory. `keeps_session` concerns MQTT 3.1.1;
    MQTT 5 asks for that when it connects. Raises CredentialError where the
    password, the CA, the certificate or the key cannot be read.
    """
    version = MQTTv5 if config.protocol == "5" else MQTTv311
    clean = None if config.protocol == "5" else not keeps_session
    client = BoundedClient(
        CallbackAPIVersion.VERSION2, name, protocol=version, clean_session=clean, reconnect_on_failure=False
    )
    client.limit_bytes = limit_bytes
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_queued_messages_set(0)
    if config.username is not None:
        client.username_pw_set(config.username, read_password(config))
    if config.uses_tls:
        client.tls_set_context(tls_context(config.tls))
    return client


def connect(client: BoundedClient, config: MqttConfig) -> None:
    """Open the connection and send CONNECT; blocks for DNS, TCP and TLS. Raises OSError."""
    where = (config.host, config.effective_port, config.keepalive_s)
    if config.protocol != "5":
        client.connect(*where)
        return
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = client.limit_bytes
    client.connect(*where, clean_start=True, properties=properties)


def password_path(config: MqttConfig) -> Path | None:
    """Return the file of the password: `password_file`, else systemd's credential, else None."""
    return config.password_file or credential(CREDENTIAL_NAME)


def read_password(config: MqttConfig) -> str | None:
    """Return the password, None where there is none; raise CredentialError where it cannot be read."""
    path = password_path(config)
    if path is None:
        return None
    origin = f"mqtt.password_file {path}"
    with passwords.explained(origin, "give a file that this user may read, or use sudo"), opened(path) as file:
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
        if ca_file is not None:
            opened(ca_file).close()  # OpenSSL would wait for a FIFO for ever
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
        for path in filter(None, (certificate, key)):
            opened(path).close()
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError:
        text = f"mqtt.tls: {certificate} and {key} are not a certificate and its key in PEM form"
        raise CredentialError(text) from None
    except CredentialError:
        raise
    except OSError as error:
        text = f"mqtt.tls: {certificate} or {key}: {error.strerror}: let this user read both"
        raise CredentialError(text) from None


def ask_languages(config: MqttConfig) -> list[Language]:
    """Return what answers at a broker's port: over TLS, where that is configured."""
    try:
        context = tls_context(config.tls) if config.uses_tls else None
    except CredentialError:
        return []
    return diagnose.languages(config.host, config.effective_port, context)
