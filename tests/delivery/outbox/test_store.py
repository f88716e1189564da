"""One SQLite file: transactions, what damage costs, and what is set aside."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agender.delivery.outbox.store import FILE_NAME, Row, Store, StoreDamagedError, StoreError, salvage, set_aside
from edge_agender.messages.message import Message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def window(number: int, topic: str = "p/d/window") -> Message:
    return Message("window", topic, json.dumps({"sequence": number}).encode(), 1, False, durable=True)


class TestStore:
    @pytest.fixture
    def store(self, folder: Path) -> Iterator[Store]:
        store = Store(folder)
        yield store
        store.close()

    def test_bytes_and_count_follow(self, store: Store, folder: Path) -> None:
        store.commit([Row(number, 0.5, window(number, topic="ä/b")) for number in range(1, 6)], [])
        store.commit([], [2, 3, 77])
        assert store.count == 3
        count, size = store.count, store.bytes
        store.close()
        again = Store(folder)
        assert (again.count, again.bytes, again.last_id) == (count, size, 5)
        again.close()

    def test_failed_commit_changes_nothing(self, store: Store) -> None:
        store.commit([Row(1, 0.5, window(1))], [])
        with pytest.raises(StoreError):
            store.commit([Row(2, 0.5, window(2)), Row(1, 0.5, window(1))], [])
        assert [row.id for row in store.read(0, 9)[0]] == [1]
        assert store.count == 1

    def test_no_index_file_is_shared(self, store: Store, folder: Path) -> None:
        store.commit([Row(1, 0.5, window(1))], [])
        assert not (folder / f"{FILE_NAME}-shm").exists()

    def test_set_aside_keeps_two(self, folder: Path) -> None:
        folder.mkdir()
        for number in range(5):
            (folder / FILE_NAME).write_text(f"{number}")
            (folder / f"{FILE_NAME}-wal").write_text("log")
            set_aside(folder)
        kept = sorted(path.name for path in folder.iterdir())
        assert kept == [f"{FILE_NAME}.damaged-{n}{s}" for n in (4, 5) for s in ("", "-wal")]

    def test_salvage_reads_around_the_damage(self, store: Store, folder: Path) -> None:
        store.commit([Row(number, 0.5, window(number)) for number in range(1, 2001)], [])
        store.close()
        path = folder / FILE_NAME
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2 : len(raw) // 2 + 4096] = b"\xa5" * 4096
        path.write_bytes(raw)
        ids = [row.id for row in salvage(path)]
        assert ids == sorted(set(ids))
        assert 1900 < len(ids) < 2000

    def test_foreign_format_is_damage(self, folder: Path) -> None:
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(b"x" * 5000)
        with pytest.raises(StoreDamagedError):
            Store(folder)
