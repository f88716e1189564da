from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

from proofs.no_images.pixels import binary_regions
from proofs.no_images.sqlite_pages import without_pointers


def store(path: Path, blob: bytes = b"") -> tuple[bytes, bytes]:
    """A database with an index of many short rows, and its log."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(
            "CREATE TABLE sent (id INTEGER PRIMARY KEY, kind TEXT, boot TEXT, sequence INTEGER, blob BLOB)"
        )
        database.execute("CREATE UNIQUE INDEX number ON sent (kind, boot, sequence)")
        rows = [("window", "0123456789abcdef", number) for number in range(3000)]
        database.executemany("INSERT INTO sent (kind, boot, sequence) VALUES (?, ?, ?)", rows)
        database.execute("INSERT INTO sent (kind, blob) VALUES ('x', ?)", [blob])
        database.commit()
        log = Path(f"{path}-wal").read_bytes()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes(), log


def test_an_index_of_short_rows_is_no_picture_but_a_picture_beside_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(128, 256, 1200, np.uint8).tobytes()
    for name, blob, found in (("plain", b"", False), ("planted", pixels, True)):
        for data in store(tmp_path / name, blob):
            assert list(binary_regions(data)), "the pointers are what this is about"
            kept = without_pointers(data)
            assert len(kept) == len(data)
            assert any(end - start >= 1000 for start, end in binary_regions(kept)) is found


def test_what_only_looks_like_a_page_is_left_alone() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, 8192, np.uint8).tobytes()
    header = b"SQLite format 3\0" + (4096).to_bytes(2, "big")
    assert without_pointers(pixels) == pixels
    assert without_pointers(header + pixels) == header + pixels
