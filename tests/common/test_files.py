"""What is named as a file and is none: opening it must neither wait nor read for ever."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from edge_agender.common.files import NotAFileError, open_file, read_file


def test_a_file_is_read_up_to_one_byte_more_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert read_file(tmp_path / "f", 5) == b"12345"
    assert read_file(tmp_path / "f", 3) == b"1234"


def test_dev_null_is_an_empty_file() -> None:
    assert read_file(Path("/dev/null"), 10) == b""


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "link to a fifo"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "p"
    if kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    if kind == "link to a fifo":
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    with pytest.raises(NotAFileError, match="not a file"):
        read_file(path, 10)


def test_a_socket_is_no_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        with pytest.raises(OSError, match=r"."):
            read_file(tmp_path / "s", 10)


def test_nothing_is_left_open_after_a_refusal(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(5):
        with pytest.raises(NotAFileError):
            open_file(tmp_path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
