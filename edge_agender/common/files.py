"""Files that somebody else names or writes, read whole up to a bound; and files replaced whole or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_NULL = os.makedev(1, 3)


class NotAFileError(OSError):
    """A FIFO, folder, socket or device where a file was expected: reading it might never end."""


def read_file(path: Path, limit: int) -> bytes:
    """Return up to `limit` + 1 bytes, so that the caller can tell what is too large.

    Raises OSError where it cannot be read, NotAFileError (with a `strerror`) where it is no file. /dev/null is empty.
    """
    with opened(path) as file:
        return file.read(limit + 1)


def opened(path: Path) -> BinaryIO:
    """Return the file opened for reading, as `Path.open("rb")`; raises as `read_file`."""
    return os.fdopen(open_file(path), "rb")


def open_file(path: Path, flags: int = 0) -> int:
    """Return a descriptor for reading a regular file; never waits, as opening a FIFO would. Raises as `read_file`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        require_file(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def require_file(found: os.stat_result, path: Path) -> None:
    """Raise NotAFileError unless it is a regular file or /dev/null."""
    mode = found.st_mode
    if stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and found.st_rdev == _NULL):
        return
    raise NotAFileError(None, f"{kind_of(mode)}, not a file", str(path))


def kind_of(mode: int) -> str:
    """Return in words what is no regular file."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def replace_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file so that, whenever the power fails, either the old or the new one is there; raises OSError.

    A link that somebody left at its place is replaced, never followed. `mode` is that of the new file, less the umask.
    """
    partial = path.with_name(f".{path.name}.part")
    partial.unlink(missing_ok=True)
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other process into a block of this kind about the same folder; a process that is killed lets go, too.

    Threads of one process wait for each other as well. Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the folder's names on disk: what was made, renamed or removed in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
