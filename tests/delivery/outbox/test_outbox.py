"""The outbox on a real disk: kept until acknowledged, sent in order, across restarts, damage and full disks."""

import json
import sqlite3
from pathlib import Path

import pytest

from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.delivery.outbox.queue import as_historical
from edge_agender.delivery.outbox.store import FILE_NAME, Row, Store
from edge_agender.device.paths import state_folder
from tests.support.broker import wait_until
from tests.support.outbox_tools import Clock, drain, frame, numbers, options, stored, take_all, window

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


class TestDurable:
    def test_is_on_disk_when_put_returns(self, folder: Path) -> None:
        with Outbox(options(folder)) as outbox:
            outbox.put(window(1))
            assert outbox._writer._store is not None
            rows, _ = outbox._writer._store.read(0, 10)
        assert numbers([row.message for row in rows]) == [1]

    def test_nothing_to_write_is_no_work(self, folder: Path) -> None:
        with Outbox(options(folder)) as outbox:
            for number in range(2):
                with outbox._lock:
                    assert outbox._writer._due_in_s() > 1
                outbox.put(frame(number))

    def test_is_deleted_on_acknowledgement_only(self, folder: Path) -> None:
        with Outbox(options(folder)) as outbox:
            for number in range(3):
                outbox.put(window(number))
            taken = take_all(outbox)
            outbox.acknowledge(taken[1][0])
        assert stored(folder) == [0, 2]

    def test_comes_in_order_after_a_restart_and_is_marked(self, folder: Path) -> None:
        with Outbox(options(folder, historical_after_s=1e6)) as outbox:
            for number in range(600):  # more than are held ready in memory
                outbox.put(window(number))
            assert "historical" not in json.loads(take_all(outbox)[0][1].payload)
        with Outbox(options(folder, historical_after_s=1e6)) as outbox:
            outbox.put(window(600))
            messages = drain(outbox, 601)
            assert outbox.state().durable == 0
        assert numbers(messages) == list(range(601))
        marks = [json.loads(message.payload).get("historical", False) for message in messages]
        assert marks == [True] * 600 + [False]
        assert stored(folder) == []

    def test_backlog_larger_than_memory_keeps_its_order_while_more_arrives(self, folder: Path) -> None:
        with Outbox(options(folder, batch_s=0)) as outbox:
            messages = []
            for number in range(1000):
                outbox.put(window(number))
                if number > 400 and (one := outbox.take()) is not None:
                    messages.append(one[1])
                    outbox.acknowledge(one[0])
            messages += drain(outbox, 1000 - len(messages))
        assert numbers(messages) == list(range(1000))

    def test_unacknowledged_goes_first_after_rewind(self, folder: Path) -> None:
        with Outbox(options(folder)) as outbox:
            for number in range(4):
                outbox.put(window(number))
            taken = [outbox.take() for _ in range(3)]
            assert taken[0] is not None
            outbox.acknowledge(taken[0][0])
            outbox.rewind()
            assert numbers([message for _, message in take_all(outbox)]) == [1, 2, 3]

    def test_frames_are_written_in_batches(self, folder: Path) -> None:
        clock = Clock()
        with Outbox(options(folder, batch_s=0.2), clock) as outbox:
            outbox.put(window(0, kind="frame"))
            assert numbers(drain(outbox, 1)) == [0]
            for number in range(1, 20):
                outbox.put(window(number, kind="frame"))
            assert outbox.take() is None
            clock.now_s += 0.2
            assert numbers(drain(outbox, 19)) == list(range(1, 20))

    def test_state_counts_each_message_once_whatever_the_disk_is_doing(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit, outbox = Store.commit, Outbox(options(folder))
        seen: list[int] = []

        def look() -> None:
            with outbox._lock:
                seen.append(outbox.state().durable)

        def commit_and_look(store: Store, add: list[Row], remove: list[int], delivered: set[int]) -> None:
            commit(store, add, remove, delivered)
            look()

        monkeypatch.setattr(Store, "commit", commit_and_look)
        outbox.listen(look)
        with outbox:
            with outbox._lock:
                seen.clear()
                outbox.put(window(1))
            with outbox._lock:
                assert set(seen) == {1}
                taken = take_all(outbox)
                outbox.acknowledge(taken[0][0])
                seen.clear()
        assert set(seen) == {0}

    def test_goes_live_when_not_wanted_durable(self, folder: Path) -> None:
        with Outbox(options(folder)) as outbox:
            outbox.put(window(1))
            outbox.put(frame(2))
            first, second = outbox.take(durable=False), outbox.take(durable=False)
        assert first is not None
        assert numbers([first[1]]) == [2]
        assert second is None


class TestReplay:
    def test_is_rate_limited(self, folder: Path) -> None:
        clock = Clock()
        with Outbox(options(folder, replay_rate_hz=10, historical_after_s=5), clock) as outbox:
            for number in range(5):
                outbox.put(window(number))
            assert len(take_all(outbox)) == 5
            outbox.rewind()
            clock.now_s += 6
            sent = []
            for _ in range(50):
                clock.now_s += 0.01
                sent.append(len(take_all(outbox)))
            assert sum(sent) == 5
            assert max(sent) == 1
            assert outbox.replay_in_s() is None

    def test_late_is_historical(self, folder: Path) -> None:
        clock = Clock()
        with Outbox(options(folder, historical_after_s=5), clock) as outbox:
            outbox.put(window(1))
            clock.now_s += 6
            outbox.put(window(2))
            marks = [json.loads(message.payload).get("historical", False) for _, message in take_all(outbox)]
        assert marks == [True, False]

    @pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[1]", b'{"a":', b"null"])
    def test_mark_leaves_foreign_payloads_alone(self, payload: bytes) -> None:
        message = window(1, payload=payload)
        assert as_historical(message) == message

    def test_mark_keeps_the_rest(self) -> None:
        message = window(1, payload='{"a":1.5,"b":"ä"}'.encode())
        assert as_historical(message).payload == '{"a":1.5,"b":"ä","historical":true}'.encode()


class TestLive:
    def test_latest_win_and_drops_are_counted(self, folder: Path) -> None:
        with Outbox(options(folder, live_messages=3)) as outbox:
            for number in range(5):
                outbox.put(frame(number))
            assert numbers([message for _, message in take_all(outbox)]) == [2, 3, 4]
            assert outbox.state().dropped == {"live": 2}

    def test_old_is_not_sent(self, folder: Path) -> None:
        clock = Clock()
        with Outbox(options(folder, live_max_age_s=2), clock) as outbox:
            outbox.put(frame(1))
            clock.now_s += 3
            outbox.put(frame(2))
            assert numbers([message for _, message in take_all(outbox)]) == [2]
            assert outbox.state().dropped == {"live": 1}

    def test_retained_is_said_again_with_its_latest_value(self, folder: Path) -> None:
        with Outbox(options(folder)) as outbox:
            outbox.put(frame(1, "p/d/enabled", retain=True))
            outbox.put(frame(2, "p/d/enabled", retain=True))
            assert numbers([message for _, message in take_all(outbox)]) == [2]
            outbox.rewind()
            assert numbers([message for _, message in take_all(outbox)]) == [2]

    def test_nothing_live_touches_the_disk(self, folder: Path) -> None:
        with Outbox(options(folder)) as outbox:
            before = (folder / f"{FILE_NAME}-wal").stat().st_size
            for number in range(100):
                outbox.put(frame(number))
            take_all(outbox)
            assert (folder / f"{FILE_NAME}-wal").stat().st_size == before


class TestBounds:
    def test_bytes_drop_the_oldest(self, folder: Path) -> None:
        with Outbox(options(folder, max_mb=0.01)) as outbox:
            for number in range(500):
                outbox.put(window(number))
            outbox.put(window(500))
        state = outbox.state()
        left = stored(folder)
        assert left == list(range(501 - len(left), 501))
        assert len(left) > 50
        assert state.dropped == {"size": 501 - len(left)}
        assert state.durable_bytes <= 10_000

    def test_age_drops_whatever_the_wall_clock_says(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        with Outbox(options(folder, max_age_h=1), clock) as outbox:
            outbox.put(window(1))
            monkeypatch.setattr("time.time", lambda: 4e9)
            clock.now_s += 1800
            outbox.put(window(2))
        clock.now_s = 5.0  # a new boot: monotonic time begins anew
        with Outbox(options(folder, max_age_h=1), clock) as outbox:
            clock.now_s += 1900
            outbox.put(window(3))
            wait_until(lambda: outbox.state().dropped)
            assert outbox.state().dropped == {"age": 1}
        assert stored(folder) == [2, 3]

    def test_what_is_in_flight_is_not_dropped(self, folder: Path) -> None:
        with Outbox(options(folder, max_mb=0.001)) as outbox:
            outbox.put(window(0))
            taken = outbox.take()
            for number in range(1, 50):
                outbox.put(window(number))
            wait_until(lambda: outbox.state().dropped)
            assert 0 in [json.loads(row.message.payload)["sequence"] for row in rows_of(outbox)]
            assert taken is not None


def rows_of(outbox: Outbox) -> list[Row]:
    assert outbox._writer._store is not None
    return outbox._writer._store.read(0, 10_000)[0]


class TestTrouble:
    def test_no_folder_keeps_counting_in_memory_and_heals(self, tmp_path: Path) -> None:
        blocked = tmp_path / "state"
        blocked.write_text("a file where the folder should be")
        with Outbox(options(blocked), retry_s=0.05) as outbox:
            outbox.put(window(1))
            outbox.put(window(2))
            assert outbox.state().alarm
            assert outbox.state().durable == 2
            first = outbox.take()
            assert first is not None
            outbox.acknowledge(first[0])
            blocked.unlink()
            wait_until(lambda: outbox.state().alarm is None)
        assert stored(blocked) == [2]

    def test_memory_is_bounded_and_drops_the_oldest(self, tmp_path: Path) -> None:
        blocked = tmp_path / "state"
        blocked.write_text("")
        with Outbox(options(blocked, memory_messages=100)) as outbox:
            for number in range(1000):
                outbox.put(window(number))
            state = outbox.state()
            sent = numbers(drain(outbox, state.durable))
        assert sent == list(range(1000 - len(sent), 1000))
        assert 100 <= len(sent) <= 500
        assert state.dropped == {"memory": 1000 - len(sent)}

    def test_second_daemon_does_not_send_the_same(self, folder: Path) -> None:
        with Outbox(options(folder)) as first, Outbox(options(folder)) as second:
            first.put(window(1))
            second.put(window(2))
            assert "another process" in str(second.state().alarm)
            assert first.state().alarm is None
            assert numbers([message for _, message in take_all(second)]) == [2]

    @pytest.mark.parametrize(
        "content", [b"this is no database at all, but text" * 200, b"SQLite format 3\0" + b"\xff" * 8000]
    )
    def test_foreign_file_is_set_aside(self, folder: Path, content: bytes) -> None:
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(content)
        with Outbox(options(folder)) as outbox:
            outbox.put(window(1))
            assert "set aside" in str(outbox.state().alarm)
        assert stored(folder) == [1]
        assert (folder / f"{FILE_NAME}.damaged-1").read_bytes() == content

    def test_store_of_another_program_is_set_aside(self, folder: Path) -> None:
        folder.mkdir()
        with sqlite3.connect(folder / FILE_NAME) as database:
            database.execute("CREATE TABLE message (x)")
            database.execute("PRAGMA user_version=7")
        with Outbox(options(folder)) as outbox:
            outbox.put(window(1))
        assert stored(folder) == [1]

    def test_damage_in_the_middle_costs_what_lies_there(self, folder: Path) -> None:
        store = Store(folder)
        store.commit([Row(number + 1, 0.5, window(number)) for number in range(2000)], [])
        store.close()
        path = folder / FILE_NAME
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2 : len(raw) // 2 + 4096] = b"\xa5" * 4096
        path.write_bytes(raw)
        with Outbox(options(folder)) as outbox:
            outbox.put(window(2000))
            sent: list[int] = []
            wait_until(lambda: sent.extend(take_and_acknowledge(outbox)) or 2000 in sent)
            assert "set aside" in str(outbox.state().alarm)
            assert outbox.state().durable == 0
        assert sent == sorted(set(sent))
        assert 1900 < len(sent) < 2001

    def test_changed_byte_in_a_payload_is_noticed(self, folder: Path) -> None:
        with Outbox(options(folder)) as outbox:
            for number in range(10):
                outbox.put(window(number))
        path = folder / FILE_NAME
        raw = path.read_bytes()
        path.write_bytes(raw.replace(b'"sequence": 4', b'"sequence": 8'))
        with Outbox(options(folder)) as outbox:
            sent = numbers(drain(outbox, 9))
            assert outbox.state().dropped == {"damaged": 1}
        assert sent == [0, 1, 2, 3, 5, 6, 7, 8, 9]
        assert stored(folder) == []


def take_and_acknowledge(outbox: Outbox) -> list[int]:
    taken = take_all(outbox)
    for entry, _ in taken:
        outbox.acknowledge(entry)
    return numbers([message for _, message in taken])


def test_state_folder_is_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
    assert state_folder() == Path("/var/lib/a")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/u/.state")
    assert state_folder() == Path("/home/u/.state/edge-agender")
