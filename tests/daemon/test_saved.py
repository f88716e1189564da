"""What a killed process leaves on disk, what the next one makes of it, and what it must never take for its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agender.audience.measures import Content
from edge_agender.config.settings import Config, SourceConfig
from edge_agender.daemon.saved import Found, SavedState, identity
from edge_agender.device.state import StateFolder
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender, sender_of

SENDER = sender_of(Config.model_validate({"device": {"name": "box"}}))
DEMO = SourceConfig(kind="demo")
SUMS = {"format": 1, "open": []}
AD = Content("sale", 1_700_000_000.5)


def window(number: int, sender: Sender = SENDER, **changes: Any) -> Message:
    payload = {"schema": "edge-agender.window", "device": sender.device, "boot_id": "b" * 16, "sequence": number}
    return sender.message("window", payload | changes, durable=True)


def saved(folder: Path, sender: Sender = SENDER, source: SourceConfig = DEMO) -> SavedState:
    return SavedState(StateFolder(folder), sender, source)


def found(folder: Path, sender: Sender = SENDER, source: SourceConfig = DEMO) -> Found | None:
    return saved(folder, sender, source).load()


def written(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "windows.json").read_text())


def test_what_is_saved_is_found_again(tmp_path: Path) -> None:
    state = saved(tmp_path)
    state.save(SUMS, AD, 0.0)
    state.wait(60)
    assert found(tmp_path) == Found(SUMS, AD, None, ())


def test_a_message_is_on_disk_before_anybody_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, write = threading.Event(), StateFolder.write

    def stalls(folder: StateFolder, name: str, text: str) -> bool:
        assert goes_on.wait(60)
        return write(folder, name, text)

    monkeypatch.setattr(StateFolder, "write", stalls)
    state, message = saved(tmp_path), window(7)
    state.save_ahead([message], SUMS, AD, 0.0)
    assert state.ready(0.0) == []
    goes_on.set()
    state.wait(60)
    assert state.ready(0.0) == [message]
    assert state.ready(0.0) == []
    assert found(tmp_path) == Found(SUMS, AD, None, (message,))


def test_killed_before_the_outbox_has_it_the_next_process_sends_the_same_bytes(tmp_path: Path) -> None:
    state = saved(tmp_path)
    state.save_ahead([window(1), window(2)], SUMS, AD, 0.0)
    state.wait(60)
    next_sender = replace(SENDER, boot_id="c" * 16)
    after = saved(tmp_path, next_sender)
    left = after.load()
    assert left is not None
    after.resume(left.unsent)
    assert after.ready(0.0) == [window(1), window(2)]
    assert all(json.loads(message.payload)["boot_id"] == "b" * 16 for message in left.unsent)


def test_what_was_handed_over_stays_until_the_outbox_has_flushed_it(tmp_path: Path) -> None:
    state = saved(tmp_path)
    state.save_ahead([window(1)], SUMS, AD, 0.0)
    state.wait(60)
    assert state.ready(10.0) == [window(1)]
    for now_s, left in ((10.5, 1), (11.5, 0)):
        state.save(SUMS, AD, now_s)
        state.wait(60)
        assert len(written(tmp_path)["unsent"]) == left
    assert state.clears_at_s == float("inf")


def test_a_disk_that_refuses_holds_no_message_back(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    state = saved(tmp_path / "file")
    state.save_ahead([window(1)], SUMS, AD, 0.0)
    state.wait(60)
    assert state.ready(0.0) == [window(1)]


def test_what_waits_for_a_card_that_hangs_is_handed_over_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = threading.Event()
    monkeypatch.setattr(StateFolder, "write", lambda *_: ends.wait(60))
    state = saved(tmp_path)
    state.save_ahead([window(1)], SUMS, AD, 0.0)
    assert state.ready(0.0, wait=False) == [window(1)]
    ends.set()
    state.wait(60)


OTHERS: Mapping[str, tuple[Sender, SourceConfig]] = {
    "device": (replace(SENDER, device="other"), DEMO),
    "prefix": (replace(SENDER, prefix="shop"), DEMO),
    "source": (SENDER, SourceConfig(kind="picamera2")),
}


@pytest.mark.parametrize("other", OTHERS)
def test_the_figures_of_another_device_or_source_are_set_aside(tmp_path: Path, other: str) -> None:
    state = saved(tmp_path)
    state.save_ahead([window(1)], SUMS, AD, 0.0)
    state.wait(60)
    sender, source = OTHERS[other]
    folder = StateFolder(tmp_path)
    assert SavedState(folder, sender, source).load() is None
    assert "another" in folder.alarms[0]
    assert not (tmp_path / "windows.json").exists()


def test_a_source_is_known_by_what_it_looks_at_and_not_by_how() -> None:
    def stream(uri: str, **changes: Any) -> SourceConfig:
        return SourceConfig.model_validate({"kind": "opencv", "opencv": {"uri": uri}, **changes})

    assert identity(stream("rtsp://a/1")) == identity(stream("rtsp://a/1", width_px=640, rotate_deg=90))
    assert (
        identity(stream("rtsp://u:old@a/1")) == identity(stream("rtsp://u:new@a/1")) == identity(stream("rtsp://a/1"))
    )
    marks = {identity(each) for each in (stream("rtsp://a/1"), stream("rtsp://a/2"), DEMO, SourceConfig())}
    marks.add(identity(SourceConfig.model_validate({"picamera2": {"camera": 1}})))
    assert len(marks) == 5


REMOVED = object()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", 2), ("format", REMOVED), ("device", 7), ("source", None), ("unsent", {}), ("unsent", [1]),
        ("unsent.0.kind", "frame"), ("unsent.0.kind", ["window"]), ("unsent.0.qos", 3), ("unsent.0.qos", True),
        ("unsent.0.topic", "a/b"), ("unsent.0.payload", "{"), ("unsent.0.payload", "[]"), ("unsent.0.payload", 5),
        ("unsent.0.payload", window(1, device="other").payload.decode()),
        ("unsent.0.payload", window(1, sequence="1").payload.decode()),
        ("unsent.0.payload", window(1, boot_id=None).payload.decode()),
        ("unsent.0.payload", window(1, schema="edge-agender.viewer").payload.decode()),
        ("content", "sale"), ("content.id", 7), ("content.id", "x" * 65), ("content.id", "a\nb"), ("content.id", ""),
        ("content.until_utc_s", "soon"), ("content.until_utc_s", 1e15), ("added", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_set_aside(tmp_path: Path, path: str, value: Any) -> None:
    state = saved(tmp_path)
    state.save_ahead([window(1)], SUMS, AD, 0.0)
    state.wait(60)
    data = node = written(tmp_path)
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    for part in way:
        node = node[part]
    if value is REMOVED:
        del node[last]
    else:
        node[last] = value
    (tmp_path / "windows.json").write_text(json.dumps(data))
    folder = StateFolder(tmp_path)
    assert SavedState(folder, SENDER, DEMO).load() is None
    assert "set aside" in folder.alarms[0]


@pytest.mark.parametrize("id_", ["x", "\U0001f600" * 64, "a" * 64])
@pytest.mark.parametrize("until_s", [None, 0.0, -6e10, 253402300799.9999])
def test_any_content_that_a_sign_can_say_survives(tmp_path: Path, id_: str, until_s: float | None) -> None:
    state = saved(tmp_path)
    state.save(SUMS, Content(id_, until_s), 0.0)
    state.wait(60)
    left = found(tmp_path)
    assert left is not None
    assert left.content == Content(id_, until_s)
