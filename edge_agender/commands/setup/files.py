"""Files that are replaced whole, all or none: staged beside their places, flushed to disk, renamed; else put back."""

from __future__ import annotations

import errno
import grp
import os
import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agender.common.files import sync_folder
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
            if not self.path.is_file() or self.path.read_bytes() != self.content:
                return False
            status = self.path.stat()
        except OSError:
            return False
        owned = os.geteuid() != 0 or (status.st_uid, status.st_gid) == (0, self.group_id())
        return owned and status.st_mode & 0o777 == self.mode

    def group_id(self) -> int:
        if self.group is None:
            return 0
        try:
            return grp.getgrnam(self.group).gr_gid
        except KeyError:
            raise SetupError(f"{self.path}: there is no group {self.group} here: make it with groupadd") from None


def write_all(files: Sequence[File], root: Path) -> list[Path]:
    """Write the files, all below `root`, and return where the kept ones are; SetupError, and all is as before, else."""
    with ExitStack() as undo, _undisturbed():
        try:
            before = _replace(files, [_place(file.path, root) for file in files], undo)
        except SetupError:
            raise
        except OSError as error:
            where = error.filename or "a file"
            raise SetupError(
                f"{where}: {error.strerror or error}: nothing was changed; fix this and run setup again"
            ) from None
        undo.pop_all()
        for old in (old for file, old in zip(files, before, strict=True) if old is not None and not file.keep):
            _forget(old)
    return [old for file, old in zip(files, before, strict=True) if old is not None and file.keep]


def _replace(files: Sequence[File], places: Sequence[Path], undo: ExitStack) -> list[Path | None]:
    """Put each file into its place; return the other name of what was there before, None where there was nothing."""
    staged = [_stage(file, place, undo) for file, place in zip(files, places, strict=True)]
    before = [_second_name(place, undo) if place.exists() else None for place in places]
    for new, place, old in zip(staged, places, before, strict=True):
        undo.callback(_put_back, place, old)
        new.replace(place)
    for folder in {place.parent for place in places}:
        sync_folder(folder)
    for file, old in zip(files, before, strict=True):
        if old is not None:
            # It may hold the same secret as the new one.
            old.chmod(old.stat().st_mode & file.mode)
    return before


def _place(path: Path, root: Path) -> Path:
    """Where a path leads: a configuration that is a link into a folder of somebody's fleet stays a link."""
    place = Path(os.path.realpath(path))
    if not place.is_relative_to(os.path.realpath(root)):
        raise SetupError(f"{path}: leads to {place}, which is not below {root}: make it a file, or a link within")
    # A masked unit is a link to /dev/null.
    if place.exists() and not place.is_file():
        raise SetupError(f"{path}: is or leads to {place}, which is no file: nothing was changed; remove it")
    return place


def _stage(file: File, place: Path, undo: ExitStack) -> Path:
    """Write the content beside its place."""
    _make_folder(place.parent, undo)
    path = place.with_name(f".{place.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    undo.callback(_forget, path)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(file.content)
        opened.flush()
        if os.geteuid() == 0:
            os.fchown(descriptor, 0, file.group_id())
        os.fchmod(descriptor, file.mode)
        os.fsync(descriptor)
    return path


def _second_name(place: Path, undo: ExitStack) -> Path:
    """Give the present file another name, which stays when its first one goes to the new file."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in range(1000):
        kept = place.with_name(f"{place.name}.{stamp}{f'-{number}' if number else ''}.bak")
        with suppress(FileExistsError):
            os.link(place, kept)
            undo.callback(_forget, kept)
            return kept
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))


def _put_back(place: Path, old: Path | None) -> None:
    if old is None:
        _forget(place)
    else:
        with suppress(OSError):
            old.replace(place)


def _make_folder(folder: Path, undo: ExitStack) -> None:
    for parent in (*reversed(folder.parents), folder):
        if not parent.is_dir():
            parent.mkdir(mode=FOLDER_MODES.get(parent.name, 0o755))
            undo.callback(_forget_folder, parent)
            # mkdir leaves out what the umask says; secrets' folder is narrower, the others are for all.
            parent.chmod(FOLDER_MODES.get(parent.name, 0o755))


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _forget_folder(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put a Ctrl-C off until all is written or none."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
