"""Files that setup writes: whole, all or none, below their root, and never through what somebody laid in their way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agender.commands.setup.files import File, write_all
from edge_agender.errors import SetupError


def a_file(path: Path, mode: int = 0o644, **more: bool) -> File:
    return File(path, b"new\n", mode, "a file", **more)


def everything(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_a_rename_that_fails_puts_back_what_was_renamed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old a\n")
    (tmp_path / "c").write_text("old c\n")
    rename = Path.replace

    def refuse_c(self: Path, target: Path) -> Path:
        # As a file does that is a mount of its own, or immutable.
        if target.name == "c":
            raise OSError(16, "Device or resource busy", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse_c)
    files = [a_file(tmp_path / "a", keep=True), a_file(tmp_path / "new/b"), a_file(tmp_path / "c")]
    with pytest.raises(SetupError, match="nothing was changed"):
        write_all(files, tmp_path)
    assert everything(tmp_path) == {"a": "old a\n", "c": "old c\n"}
    assert not (tmp_path / "new").exists()


def test_of_an_old_password_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("old\n")
    assert write_all([a_file(tmp_path / "secret", 0o600, secret=True)], tmp_path) == []
    assert everything(tmp_path) == {"secret": "new\n"}


def test_what_is_kept_is_read_by_no_more_than_what_replaces_it(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("uri: http://user:password@camera\n")
    (kept,) = write_all([a_file(tmp_path / "config", 0o640, keep=True)], tmp_path)
    assert kept.stat().st_mode & 0o777 == 0o640


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.write_text("old\n")
    root.mkdir()
    (root / "file").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    for path in (root / "file", root / "folder/outside"):
        with pytest.raises(SetupError, match="not below"):
            write_all([a_file(path)], root)
    assert everything(tmp_path) == {"outside": "old\n", "root/file": "old\n"}


def test_a_link_to_what_is_no_file_is_refused_as_of_a_masked_unit(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "null")
    (tmp_path / "unit").symlink_to(tmp_path / "null")
    assert not a_file(tmp_path / "unit").is_there()
    with pytest.raises(SetupError, match="no file"):
        write_all([a_file(tmp_path / "unit")], tmp_path)
    assert (tmp_path / "null").is_fifo()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_not_as_it_should_be(tmp_path: Path) -> None:
    file = a_file(tmp_path / "file", 0o640)
    write_all([file], tmp_path)
    assert file.is_there()
    os.chown(file.path, 0, 65534)
    assert not file.is_there()


def test_a_group_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no group nowhere-to-be-found"):
        File(tmp_path / "x", b"", 0o640, "a file", "nowhere-to-be-found").group_id()
