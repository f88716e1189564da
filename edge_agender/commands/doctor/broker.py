"""The way to the broker, in the order in which it is gone: network, TLS, user name and password, permissions."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from edge_agender.commands.doctor import certificate
from edge_agender.commands.doctor.result import Result, from_error
from edge_agender.config.settings import Config, MqttConfig, is_loopback
from edge_agender.delivery.mqtt import connection as broker
from edge_agender.delivery.mqtt.explain import explain
from edge_agender.delivery.mqtt.probe import BrokerProbe, probe_name
from edge_agender.device.installation import Place
from edge_agender.errors import CredentialError, EdgeAgenderError

CHECKS = ("broker", "tls", "credentials", "commands", "publish", "isolation")


def check_broker(config: Config, place: Place) -> list[Result]:
    """One result for each of CHECKS; what comes after a failure is skipped. Of several brokers, the first that can be
    reached is examined, and each that cannot is a warning."""
    brokers = [place.with_credentials(each) for each in config.mqtt.brokers]
    results, mqtt = _first_reached(brokers)
    if not _failed(results):
        results += _enter(config, mqtt, place)
    told = {result.check for result in results}
    missing = [name for name in CHECKS if name not in told]
    return results + [Result(name, "skipped", "needs what failed above") for name in missing]


def _first_reached(brokers: Sequence[MqttConfig]) -> tuple[list[Result], MqttConfig]:
    """What reaching the brokers in turn showed, and the one that it ended with."""
    away: list[Result] = []
    for mqtt in brokers:
        results = _reach(mqtt)
        if results[0].state != "failure":
            if away:
                findings = "; ".join(one.finding for one in away)
                results[0] = Result("broker", "warning", f"{results[0].finding}, but {findings}", away[0].remedy)
            return results, mqtt
        away += results
    return away[:1], brokers[0]


def _reach(mqtt: MqttConfig) -> list[Result]:
    where = f"{mqtt.host}, port {mqtt.effective_port}"
    try:
        plain = socket.create_connection((mqtt.host, mqtt.effective_port), broker.CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        return [from_error("broker", explain(error, mqtt))]
    with plain:
        reached = Result("broker", "ok", f"{where} can be reached")
        return [reached, *(_tls(mqtt, plain) if mqtt.uses_tls else [_without_tls(mqtt)])]


def _without_tls(mqtt: MqttConfig) -> Result:
    if is_loopback(mqtt.host):
        return Result("tls", "skipped", "the broker is on this machine")
    what = "messages and the password travel" if mqtt.username else "messages travel"
    remedy = "Set mqtt.tls.enabled: true, and mqtt.tls.ca_file if the broker's certificate is home-made."
    return Result("tls", "warning", f"{what} unencrypted", remedy)


def _tls(mqtt: MqttConfig, plain: socket.socket) -> list[Result]:
    try:
        context = broker.tls_context(mqtt.tls)
        with context.wrap_socket(plain, server_hostname=mqtt.host) as secure:
            dates = certificate.check_dates(_certificates(mqtt, context, secure))
            spoken = secure.version()
    except (OSError, ValueError) as error:
        return [from_error("tls", explain(error, mqtt))]
    if mqtt.tls.insecure:
        remedy = "Give mqtt.tls.ca_file and remove insecure: anybody on the network can pretend to be the broker."
        return [
            Result("tls", "warning", f"{spoken}, but nobody checks who answers (mqtt.tls.insecure)", remedy),
            *dates,
        ]
    return dates or [Result("tls", "ok", f"{spoken}, certificates are valid for {certificate.SOON_DAYS} days or more")]


def _certificates(mqtt: MqttConfig, context: ssl.SSLContext, secure: ssl.SSLSocket) -> list[tuple[str, bytes]]:
    """Whose, and in DER form: the broker's, its CA's where we were given that, and ours."""
    server = secure.getpeercert(binary_form=True)
    found = [("the broker's certificate", server)] if server else []
    if mqtt.tls.ca_file:
        issuer = (secure.getpeercert() or {}).get("issuer")
        known = zip(context.get_ca_certs(), context.get_ca_certs(binary_form=True), strict=True)
        found += [("the broker's CA", der) for told, der in known if told.get("subject") == issuer]
    if mqtt.tls.certificate_file:
        found += [("this device's certificate", der) for der in certificate.in_file(mqtt.tls.certificate_file)[:1]]
    return found


def _enter(config: Config, mqtt: MqttConfig, place: Place) -> list[Result]:
    unreadable = _unreadable(mqtt)
    if unreadable is not None:
        finding = f"{unreadable} can be read by root only"
        return [Result("credentials", "warning", finding, "Run the doctor again with sudo.")]
    try:
        with BrokerProbe(mqtt, probe_name(mqtt, config.device.name)) as visit:
            who = f"user {mqtt.username} is accepted" if mqtt.username else "accepted without a user name"
            results = [Result("credentials", "ok", who), _commands(visit, config), _publish(visit, config)]
    except CredentialError as error:
        return [_refused(error, mqtt, place)]
    except EdgeAgenderError as error:
        return [from_error("credentials", error)]
    return [*results, _isolation(config, mqtt)]


def _refused(error: CredentialError, mqtt: MqttConfig, place: Place) -> Result:
    if mqtt.username is None or not re.search("refuses (this )?user", str(error)):
        return from_error("credentials", error)
    finding = str(error).rpartition(": ")[0]
    store = place.root / "etc/credstore/edge-agender.mqtt-password"
    if mqtt.password_file is None:
        remedy = f"Ask whoever runs the broker for this device's password and write it into {store}."
        return Result("credentials", "failure", finding, remedy)
    remedy = (
        f"Compare mqtt.username with what the broker's owner gave you, and type the password anew into "
        f"{mqtt.password_file}."
    )
    return Result("credentials", "failure", f"{finding}: the name or the password is wrong", remedy)


def _unreadable(mqtt: MqttConfig) -> Path | None:
    """A secret that is there for the service, but not for whoever runs the doctor."""
    for path in (mqtt.password_file, mqtt.tls.key_file):
        try:
            if path is not None:
                path.open("rb").close()
        except PermissionError:
            return path
        except OSError:
            continue
    return None


def _commands(visit: BrokerProbe, config: Config) -> Result:
    topic = f"{config.mqtt.prefix}/{config.device.name}/enabled/set"
    if visit.subscribe(topic) == "taken":
        return Result("commands", "ok", f"may listen to {topic}")
    remedy = (
        f"Let this device read {topic} in the broker's ACL (docs/mosquitto.acl), or it cannot be switched remotely."
    )
    return Result("commands", "warning", f"may not listen to {topic}", remedy)


def _publish(visit: BrokerProbe, config: Config) -> Result:
    own = f"{config.mqtt.prefix}/{config.device.name}"
    if config.mqtt.protocol != "5":
        return _cannot_be_told("publish")
    answer = visit.publish(f"{own}/doctor")
    if answer == "taken":
        return Result("publish", "ok", f"may write below {own}/")
    if answer == "silent":
        remedy = "Look at the broker's log and its load, and try again."
        return Result("publish", "failure", f"no acknowledgement of a message below {own}/", remedy)
    remedy = (
        f"Let this device write {own}/# in the broker's ACL; docs/mosquitto.acl wants mqtt.username to be device.name."
    )
    return Result("publish", "failure", f"may not write below {own}/", remedy)


def _isolation(config: Config, mqtt: MqttConfig) -> Result:
    """A connection of its own, because some brokers hang up on what they refuse."""
    if mqtt.protocol != "5":
        return _cannot_be_told("isolation")
    foreign = f"{mqtt.prefix}/not-{config.device.name}/"
    try:
        with BrokerProbe(mqtt, probe_name(mqtt, config.device.name)) as visit:
            answer = visit.publish(f"{foreign}doctor")
    except EdgeAgenderError as error:
        return from_error("isolation", error)
    if answer == "refused":
        return Result("isolation", "ok", f"may not write other devices' topics, such as {foreign}")
    if answer == "silent":
        return Result("isolation", "skipped", "the broker did not say")
    remedy = "Give each device its own user and limit it to its own topics, as docs/mosquitto.acl does."
    return Result("isolation", "warning", f"may write other devices' topics, such as {foreign}", remedy)


def _cannot_be_told(check: str) -> Result:
    finding = "cannot be told: a broker that speaks MQTT 3.1.1 does not say that it refuses a message"
    return Result(check, "skipped", finding, "Set mqtt.protocol: '5' if your broker speaks it.")


def _failed(results: list[Result]) -> bool:
    return any(result.state == "failure" for result in results)
