"""A FIFO or a folder where a file is configured: refused at once, in one line, by whatever reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agender.commands.privacy_report.proof import read_proof
from edge_agender.config.load import load
from edge_agender.config.settings import MqttConfig, TlsConfig
from edge_agender.delivery.mqtt.connection import read_password, tls_context
from edge_agender.errors import EdgeAgenderError
from edge_agender.imaging.pictures import read_picture
from edge_agender.inference.catalogue import load_manifest
from edge_agender.web import access

READERS: dict[str, Callable[[Path], object]] = {
    "--config": load,
    "mqtt.password_file": lambda path: read_password(MqttConfig(username="me", password_file=path)),
    "mqtt.tls.ca_file": lambda path: tls_context(TlsConfig(ca_file=path)),
    "mqtt.tls.certificate_file": lambda path: tls_context(
        TlsConfig(enabled=True, certificate_file=path, key_file=path)
    ),
    "web.password_file": access.read_password,
    "the models' manifest": load_manifest,
    "source.images.paths": read_picture,
    "--proof": read_proof,
}


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
@pytest.mark.parametrize("what", READERS)
def test_what_is_no_file_is_refused_at_once(what: str, kind: str, tmp_path: Path) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / "p"
    if kind != "device":
        {"fifo": os.mkfifo, "folder": os.mkdir}[kind](path)
    with pytest.raises(EdgeAgenderError) as caught:
        READERS[what](path)
    assert "not a file" in str(caught.value)
    assert "\n" not in str(caught.value)
