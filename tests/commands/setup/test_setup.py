"""setup: what it asks, refuses, shows and writes; below a folder of the test's own, with a real broker and terminal."""

from __future__ import annotations

import grp
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agender.cli import main
from edge_agender.commands.setup import unit
from edge_agender.commands.setup.document import changes, comments_of, render
from edge_agender.commands.setup.draft import Draft
from edge_agender.config.load import load
from edge_agender.config.settings import Config
from edge_agender.device.paths import reference_text
from edge_agender.errors import SetupError
from tests.support.broker import Authority, Broker, free_port, needs_mosquitto, running
from tests.support.typist import typing

SECRET = "pl4nted-s3cret"
CONFIG, PASSWORD = "etc/edge-agender/config.yaml", "etc/credstore/edge-agender.mqtt-password"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system of the test's own, to which a package has brought the unit."""
    brought = tmp_path / "root/usr/lib/systemd/system/edge-agender.service"
    brought.parent.mkdir(parents=True)
    brought.write_text("[Service]\n")
    return tmp_path / "root"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    broker = Broker(folder, ["allow_anonymous false", f"password_file {folder}/passwords"])
    broker.add_user("lobby", SECRET)
    with running(broker):
        yield broker


def by_flags(root: Path, *words: object) -> int:
    """Nothing listens at the port, unless the words name another."""
    flags = ["--yes", "--root", root, "--source", "demo", "--broker", "127.0.0.1", "--port", free_port(), *words]
    return main(["setup", *map(str, flags)])


def written(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {
        "usr/lib/systemd/system/edge-agender.service"
    }


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# -- by flags


def test_flags_write_a_short_configuration_and_a_secret_that_is_roots(
    root: Path, secret_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        by_flags(root, "--name", "lobby", "--user", "lobby", "--password-file", secret_file, "--privacy", "viewer") == 0
    )
    config = load(root / CONFIG)
    assert (config.device.name, config.source.kind, config.privacy.level) == ("lobby", "demo", "viewer")
    assert (config.mqtt.host, config.mqtt.username) == ("127.0.0.1", "lobby")
    assert len((root / CONFIG).read_text().splitlines()) < 30
    assert (root / PASSWORD).read_text() == SECRET + "\n"
    assert (mode(root / CONFIG), mode(root / PASSWORD), mode(root / "etc/credstore")) == (0o644, 0o600, 0o700)
    shown = capsys.readouterr()
    assert "********" in shown.out
    assert "nothing listens there" in shown.out
    assert SECRET not in shown.out + shown.err + (root / CONFIG).read_text()


def test_the_password_may_come_from_standard_input(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{SECRET}\nmore\n".encode())))
    assert by_flags(root, "--user", "lobby", "--password-file", "-") == 0
    assert (root / PASSWORD).read_text() == SECRET + "\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--name a/b", 78, "device.name"),
        ("--port 0", 78, "mqtt.port"),
        ("--broker http://broker", 78, "no address of a broker"),
        ("--privacy all", 78, "'viewer'"),
        ("--source holiday.mp4", 65, "no such file"),
        ("--source /tmp", 65, "move it to /srv"),
        ("--ca /etc/passwd", 77, "no certificate"),
        ("--ca /nowhere.pem", 77, "No such file"),
        ("--ca ~nosuchuser/ca.pem", 77, "No such file"),
        ("--source ~nosuchuser/x.mp4", 65, "no such file"),
        ("--source=", 65, "no such file"),
        ("--user lobby --password-file /nowhere", 77, "No such file"),
        ("--user lobby --password-file /dev/null", 77, "empty"),
        ("--password-file /etc/hostname", 64, "--user"),
    ],
)
def test_a_flag_that_cannot_be_used_writes_nothing(
    words: str, code: int, says: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert by_flags(root, *words.split()) == code
    assert says in capsys.readouterr().err
    assert written(root) == set()


def test_without_a_terminal_it_asks_for_yes_and_without_root_for_sudo(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("lobby\n"))
    assert main(["setup", "--root", str(root)]) == 64
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(
        "edge_agender.commands.setup.steps.write_all", lambda *_: pytest.fail("this machine's /etc would be written")
    )
    assert main(["setup", "--yes"]) == 73
    assert "sudo" in capsys.readouterr().err


def test_a_dry_run_shows_and_writes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert by_flags(root, "--name", "lobby", "--dry-run") == 0
    assert "name: lobby" in capsys.readouterr().out
    assert written(root) == set()


def test_what_was_configured_before_stays_and_the_old_file_is_kept(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = root / CONFIG
    old.parent.mkdir(parents=True)
    before = (
        "# mine\ndevice: {name: old}\nsource: {rotate_deg: 180}\nwindow: {length_s: 300}\nmqtt: {prefix: shop/one}\n"
    )
    old.write_text(before)
    assert by_flags(root, "--name", "new") == 0
    config = load(old)
    assert (config.device.name, config.source.rotate_deg, config.window.length_s) == ("new", 180, 300)
    assert config.mqtt.prefix == "shop/one"
    (kept,) = old.parent.glob("*.bak")
    assert kept.read_text() == before
    out = capsys.readouterr().out
    assert "device.name: old -> new" in out
    assert "window.length_s" not in out.partition("what changes:")[2]


def test_a_second_run_changes_nothing(root: Path, secret_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--name", "lobby", "--port", "1999", "--user", "lobby", "--password-file", secret_file)
    assert by_flags(root, *words) == by_flags(root, *words) == 0
    assert "already as it should be" in capsys.readouterr().out
    assert written(root) == {CONFIG, PASSWORD}


def test_a_configuration_that_cannot_be_used_is_replaced_by_nobody_but_a_person(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "etc/edge-agender").mkdir(parents=True)
    (root / CONFIG).write_text("mqtt: {hots: broker}\n")
    assert by_flags(root, "--name", "lobby") == 78
    assert "did you mean host" in capsys.readouterr().err
    assert written(root) == {CONFIG}
    words = ("--name", "lobby", "--broker", "127.0.0.1", "--port", free_port(), "--source", "demo")
    with typing(*asked(root, *words, "--user", "-", "--privacy", "aggregate")) as typist:
        typist.wait_for("did you mean host")
        typist.answer("encrypted", "no")
        typist.answer("Keep", "y")
        typist.answer("Write this", "y")
        assert typist.end() == 0, typist.seen
    assert load(root / CONFIG).device.name == "lobby"
    assert [path.read_text() for path in (root / CONFIG).parent.glob("*.bak")] == ["mqtt: {hots: broker}\n"]


def test_one_file_that_cannot_be_written_leaves_all_as_they_were(
    root: Path, secret_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "etc").mkdir()
    (root / "etc/credstore").write_text("in the way")
    assert by_flags(root, "--user", "lobby", "--password-file", secret_file) == 73
    assert "nothing was changed" in capsys.readouterr().err
    assert written(root) == {"etc/credstore"}


def test_a_configuration_that_is_a_link_stays_one(root: Path) -> None:
    (root / "etc/edge-agender").mkdir(parents=True)
    (root / "srv").mkdir()
    (root / "srv/fleet.yaml").write_text("device: {name: old}\n")
    (root / CONFIG).symlink_to("../../srv/fleet.yaml")
    assert by_flags(root, "--name", "new") == 0
    assert (root / CONFIG).is_symlink()
    assert load(root / "srv/fleet.yaml").device.name == "new"


def test_a_stream_with_a_password_is_shown_masked_and_read_by_few(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"rtsp://camera:{SECRET}@10.0.0.9/live"
    assert by_flags(root, "--source", uri) == 0
    assert load(root / CONFIG).source.opencv.uri == uri
    assert mode(root / CONFIG) == 0o640
    if os.geteuid() == 0:
        assert grp.getgrgid((root / CONFIG).stat().st_gid).gr_name == "video"
    assert by_flags(root, "--source", uri.replace(SECRET, SECRET + "2")) == 0
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert "another user, password" in shown.out


def test_a_brokers_own_authority_is_copied_to_where_the_service_reads_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "ca")
    assert by_flags(root, "--ca", authority.ca) == 0
    assert str(load(root / CONFIG).mqtt.tls.ca_file) == "/etc/edge-agender/broker-ca.pem"
    copy = root / "etc/edge-agender/broker-ca.pem"
    assert copy.read_bytes() == authority.ca.read_bytes()
    assert mode(copy) == 0o644
    capsys.readouterr()
    assert by_flags(root) == 0
    assert "nothing listens there" in capsys.readouterr().out, "the copy was not found below the root"


# -- by questions


def asked(root: Path, *words: object) -> list[str]:
    return ["setup", "--root", str(root), *map(str, words)]


@needs_mosquitto
def test_what_is_refused_is_asked_again_with_the_reason_and_the_broker_is_tried(root: Path, server: Broker) -> None:
    with typing(*asked(root), environment={"NO_COLOR": "1"}) as typist:
        typist.answer("called", "two words")
        typist.wait_for("device.name: must")
        typist.answer("called", "lobby")
        typist.answer("broker gets", "127.0.0.1")
        typist.answer("encrypted", "")
        typist.answer("port", "99999")
        typist.wait_for("mqtt.port: must be less")
        typist.answer("port", str(server.port))
        typist.answer("user name", "lobby")
        typist.answer("Password", "wrong")
        typist.wait_for("it refuses user lobby")
        typist.answer("Keep", "")
        for question in ("broker gets", "encrypted", "port", "user name"):
            typist.answer(question, "")
        typist.answer("Password", SECRET)
        typist.wait_for("lets this device in")
        typist.answer("pictures come", "demo")
        typist.answer("told of people", "everything")
        typist.wait_for("privacy.level: must be one of")
        typist.answer("told of people", "aggregate")
        typist.wait_for(r"root:root 0600")
        assert written(root) == set()
        typist.answer("Write this", "y")
        assert typist.end() == 0, typist.seen
    assert SECRET not in typist.seen
    assert "\x1b[" not in typist.seen
    config = load(root / CONFIG)
    assert (config.device.name, config.mqtt.port, config.privacy.level) == ("lobby", server.port, "aggregate")
    assert (root / PASSWORD).read_text() == SECRET + "\n"


@pytest.mark.parametrize("keys", ["\x03", "\x04", "n\n"])
def test_stopping_at_the_last_question_writes_nothing(root: Path, keys: str) -> None:
    words = ("--name", "lobby", "--broker", "127.0.0.1", "--port", free_port(), "--user", "-", "--source", "demo")
    with typing(*asked(root, *words)) as typist:
        typist.answer("encrypted", "no")
        typist.wait_for("nothing listens there")
        typist.answer("Keep", "y")
        typist.answer("told of people", "")
        typist.wait_for(r"Write this\?.*\n.*\n.*: ")
        typist.press(keys)
        assert typist.end() == 130
    assert "nothing was written" in typist.seen
    assert written(root) == set()


@needs_mosquitto
def test_stopping_at_the_password_writes_nothing_and_shows_again_what_is_typed(root: Path, server: Broker) -> None:
    words = ("--name", "x", "--broker", "127.0.0.1", "--port", server.port, "--tls", "--user", "lobby")
    with typing(*asked(root, *words)) as typist:
        typist.wait_for("Password.*\n.*\n.*: ")
        typist.press("\x03")
        assert typist.end() == 130
    assert written(root) == set()


# -- the parts


def test_every_option_survives_the_short_file() -> None:
    draft = Draft().with_options({
        "device.name": "007", "mqtt.username": "yes", "mqtt.host": "2001:db8::1", "mqtt.client_id": "é: #x",
        "schedule.hours": ["mon-fri 08:00-20:00"], "schedule.off_file": None, "audience.age_bands": [18, 65],
        "source.opencv.uri": "http://x/?a=b#c", "source.region.width": 0.5, "mqtt.qos.frame": 1,
    })  # fmt: skip
    text = render(draft.config, reference_text())
    assert "Lower ends of the age bands" in text
    assert "keepalive" not in text


def test_the_reference_comments_belong_to_their_options() -> None:
    comments = comments_of(reference_text())
    assert comments["mqtt.port"] == ["# Default: 1883, or 8883 with TLS."]
    assert comments["privacy.level"][0].startswith("# aggregate:")
    assert "one word" in comments["device.name"][0]
    assert len([path for path in comments if comments[path]]) > 50


def test_changes_name_options_and_mask_addresses() -> None:
    before, after = Config(), Draft().with_options({"source.opencv.uri": f"http://u:{SECRET}@x/"}).config
    assert changes(before, after) == ["source.opencv.uri: null -> http://x"]


def test_the_unit_is_for_the_place_of_the_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "HIDDEN", ("/home",))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/edge-agender").write_text("")
    text = unit.unit_text(tmp_path)
    assert f"ExecStart={tmp_path}/bin/edge-agender run --config /etc/edge-agender/config.yaml" in text
    assert "/opt/edge-agender" not in text
    for prefix, says in (
        (Path("/home/pi/venv"), "sandbox hides"),
        (tmp_path / "no", "is missing"),
        (Path("/a b"), "name"),
    ):
        with pytest.raises(SetupError, match=says):
            unit.unit_text(prefix)


def test_an_installation_of_pips_gets_its_unit_in_etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "unit_text", lambda prefix: f"[Service]\nExecStart={prefix}\n")
    assert by_flags(tmp_path / "root") == 0
    assert written(tmp_path / "root") == {CONFIG, "etc/systemd/system/edge-agender.service"}
