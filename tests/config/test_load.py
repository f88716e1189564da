from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agender.config.load import apply_overrides, load, parse_yaml, source_overrides, validate
from edge_agender.config.settings import Config
from edge_agender.errors import ConfigError
from tests.support.unprivileged import folder_for_all, needs_root, nobody


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def complaints(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    assert caught.value.exit_code == 78
    return str(caught.value).splitlines()


def test_every_mistake_is_reported_at_once_with_its_path(tmp_path: Path) -> None:
    lines = complaints(
        tmp_path,
        """
mqtt: {hots: broker, port: 99999}
source: {kind: camera}
detector: {nms_iou: wide}
tracking: 3
device: {name: lobby 3}
audience: {age_bands: [20, 10]}
""",
    )
    text = "\n".join(lines)
    assert len(lines) == 7
    assert "mqtt.hots: unknown option; did you mean hosts?" in text
    assert "mqtt.port: must be less than or equal to 65535" in text
    assert "source.kind: must be one of 'picamera2', 'opencv', 'images' or 'demo'" in text
    assert "detector.nms_iou: must be a number, not" in text
    assert "tracking: must be a section" in text
    assert "device.name: must be one word without spaces, /, + and #, such as lobby-3, not 'lobby 3'" in text
    assert "audience.age_bands" in text
    assert all(str(tmp_path) in line for line in lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mqtt: [", "not valid YAML"),
        ("- a\n- b", "expected sections"),
        ("mqtt: {host: a, host: b}", "given twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("mqtt: {host: ''}", "mqtt.host"),
        ("mqtt: {prefix: 'a/#'}", "mqtt.prefix"),
        ("device: {name: 'two words'}", "device.name"),
        ("source: {kind: opencv}", "opencv.uri"),
        ("source: {region: {x: 0.5, width: 0.8}}", "inside the picture"),
        ("mqtt: {tls: {certificate_file: a.pem}}", "belong together"),
        ("detector: {score_threshold: .nan}", "detector.score_threshold"),
    ],
)
def test_what_cannot_be_used_says_why(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in "\n".join(complaints(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "picture.yaml")
    (tmp_path / "huge.yaml").write_bytes(b"#" * 300_000)
    with pytest.raises(ConfigError, match="larger"):
        load(tmp_path / "huge.yaml")


def test_sections_with_all_lines_commented_out_have_their_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, "mqtt:\n  # host: x\ndevice:\n")).mqtt.host == "localhost"


def test_options_on_the_command_line_win() -> None:
    config = load(None, ["mqtt.host=broker.local", "audience.age_bands=[18, 65]", "mqtt.port=1884"])
    assert (config.mqtt.host, config.mqtt.port, config.audience.age_bands) == ("broker.local", 1884, (18, 65))


@pytest.mark.parametrize("override", ["mqtt.host", "=x", "mqtt..host=x", "mqtt.hots=x"])
def test_options_that_do_not_exist_are_refused(override: str) -> None:
    with pytest.raises(ConfigError):
        load(None, [override])


def test_overrides_leave_the_file_as_it_was() -> None:
    data = {"mqtt": {"host": "a"}}
    assert apply_overrides(data, ["mqtt.host=b"])["mqtt"]["host"] == "b"
    assert data == {"mqtt": {"host": "a"}}


def test_tls_moves_the_port() -> None:
    assert load(None).mqtt.effective_port == 1883
    assert load(None, ["mqtt.tls.enabled=true"]).mqtt.effective_port == 8883
    assert load(None, ["mqtt.tls.ca_file=/x", "mqtt.port=1"]).mqtt.effective_port == 1


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("demo", "demo"),
        ("picamera2", "picamera2"),
        ("a.mp4", "opencv"),
        ("rtsp://u:p@host/a?b=c#d", "opencv"),
        ("/dev/video0", "opencv"),
        ("face.JPG", "images"),
    ],
)
def test_source_on_the_command_line(what: str, kind: str) -> None:
    config = load(None, source_overrides(what))
    assert config.source.kind == kind
    if kind == "opencv":
        assert config.source.opencv.uri == what


def test_the_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(None).mqtt.host = "x"  # type: ignore[misc]


trees: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*Config.model_fields, "other"]), trees, max_size=5))
def test_any_tree_is_a_configuration_or_a_configuration_error(data: dict[str, Any]) -> None:
    complaint = "x: "
    try:
        assert isinstance(validate(data, "x"), Config)
    except ConfigError as error:
        complaint = str(error)
    assert complaint.startswith("x: ")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_yaml_or_a_configuration_error(text: str) -> None:
    complaint = "x: "
    try:
        assert isinstance(parse_yaml(text, "x"), dict)
    except ConfigError as error:
        complaint = str(error)
    assert complaint.startswith("x: ")


# Found by fuzzing (proofs/fuzz): PyYAML's constructors fail in their own ways on what does not fit an explicit tag.
@pytest.mark.parametrize(
    "value", ["!!map [[1]]", "!!int ''", "!!float ''", "!!bool maybe", "!!timestamp soon", "!unknown x"]
)
def test_a_value_that_does_not_fit_its_tag_is_a_configuration_error(value: str) -> None:
    with pytest.raises(ConfigError, match=r"x: not valid YAML: line 1, column 8: "):
        parse_yaml(f"mqtt: [{value}]", "x")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.example.org", "broker.local"])
def test_a_page_beyond_this_machine_needs_a_password(host: str) -> None:
    with pytest.raises(ConfigError, match="set password_file"):
        load(None, [f"web.host='{host}'"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_a_page_for_this_machine_needs_none(host: str) -> None:
    assert load(None, [f"web.host='{host}'"]).web.password_file is None


@needs_root
def test_who_may_not_read_a_file_is_told_of_sudo() -> None:
    with folder_for_all() as folder:
        (folder / "config.yaml").write_text("")
        (folder / "config.yaml").chmod(0o600)
        with nobody(), pytest.raises(ConfigError, match="sudo"):
            load(folder / "config.yaml")


def test_a_password_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="password_file needs a username"):
        load(None, ["mqtt.password_file=/etc/secret"])
