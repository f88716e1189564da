"""Files that are replaced whole: all are staged beside their places and flushed to disk before the first rename."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agender.errors import SetupError

FOLDER_MODES = {"credstore": 0o700}


@dataclass(frozen=True, slots=True)
class File:
    """`group` is a name, for which mode 0640 is meant; None is root's. `keep`: what it replaces is kept beside it."""

    path: Path
    content: bytes
    mode: int
    title: str
    group: str | None = None
    keep: bool = False
    secret: bool = False

    def is_there(self) -> bool:
        """Whether exactly this lies there already."""
        try:
            status = self.path.stat()
            return self.path.read_bytes() == self.content and status.st_mode & 0o777 == self.mode
        except OSError:
            return False


def write_all(files: Sequence[File]) -> list[Path]:
    """Write the files and return where the kept ones are; raise SetupError where one cannot be written."""
    with ExitStack() as stack, _undisturbed():
        try:
            staged = [(file, _stage(file, stack)) for file in files]
            kept = [_keep(file.path) for file in files if file.keep and file.path.exists()]
            for file, path in staged:
                path.replace(_real(file.path))
            for folder in {_real(file.path).parent for file in files}:
                _flush(folder)
        except OSError as error:
            where = error.filename or "?"
            raise SetupError(
                f"{where}: {error.strerror or error}: nothing was changed; mend it and run setup again"
            ) from None
    return kept


def _stage(file: File, stack: ExitStack) -> Path:
    """Write the content beside its place; removed again unless it is renamed."""
    target = _real(file.path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    _make_folder(target.parent)
    path = target.with_name(f".{target.name}.{os.getpid()}.new")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    stack.callback(_forget, path)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(file.content)
        opened.flush()
        if os.geteuid() == 0:
            shutil.chown(path, "root", file.group or "root")
        os.fchmod(descriptor, file.mode)
        os.fsync(descriptor)
    return path


def _keep(path: Path) -> Path:
    """Give the present file a second name, which stays when its first one goes to the new file."""
    real = _real(path)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in range(1000):
        kept = real.with_name(f"{real.name}.{stamp}{f'-{number}' if number else ''}.bak")
        with suppress(FileExistsError):
            os.link(real, kept)
            return kept
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(real))


def _make_folder(folder: Path) -> None:
    for parent in (*reversed(folder.parents), folder):
        if not parent.is_dir():
            parent.mkdir(mode=FOLDER_MODES.get(parent.name, 0o755))
            # mkdir leaves out what the umask says; secrets' folder is narrower, the others are for all.
            parent.chmod(FOLDER_MODES.get(parent.name, 0o755))


def _real(path: Path) -> Path:
    """A configuration that is a link into a folder of somebody's fleet stays a link."""
    return path.resolve() if path.is_symlink() else path


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put a Ctrl-C off until all is written or none."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
