"""A memory card that loses its power: which bytes may be on it after the plug was pulled between two system calls.

What an fsync or fdatasync covered is there. Of every write after that any part may be: all, none, or the first sectors
(of 512 bytes), and in any order among files and among writes. Names appear and vanish in order, as journals keep them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
SYSTEM_CALLS = "openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,rename"
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
_HEX = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class Call:
    """One system call of the log: its name, the file it concerns, and what it wrote where."""

    name: str
    path: str
    data: bytes = b""
    offset: int = 0


def read_log(path: Path, folder: Path) -> list[Call]:
    """Parse what `strace -f -y -xx -s 10000000 -e trace=SYSTEM_CALLS` wrote about the files in `folder`."""
    calls = (_parse(line) for line in _whole_lines(path))
    return [call for call in calls if call is not None and Path(call.path).is_relative_to(folder)]


def _whole_lines(path: Path) -> Iterator[str]:
    """Join calls that strace split because another thread's came in between."""
    unfinished: dict[str, str] = {}
    for line in path.read_text().splitlines():
        thread = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            unfinished[thread] = line.removesuffix("<unfinished ...>")
        elif " resumed>" in line:
            yield unfinished.pop(thread) + line.split(" resumed>", 1)[1]
        else:
            yield line


def _parse(line: str) -> Call | None:
    found = _CALL.match(line)
    if found is None or int(found[3]) < 0:
        return None
    name, arguments = found[1], found[2]
    if name == "openat":
        path = _text(arguments.split(", ")[1])
        return Call("create", path) if "O_CREAT" in arguments else None
    if name in ("unlink", "rename"):
        assert name == "unlink", f"the store renames: teach the card to do so: {line}"
        return Call("unlink", _text(arguments))
    path = _text(arguments[arguments.index("<") + 1 : arguments.index(">")])
    if name in ("fsync", "fdatasync"):
        return Call("sync", path)
    if name == "ftruncate":
        return Call("truncate", path, offset=int(arguments.rsplit(", ", 1)[1]))
    data = bytes.fromhex("".join(_HEX.findall(arguments[arguments.index('"') :])))
    assert len(data) == int(found[3])
    return Call(name, path, data, int(arguments.rsplit(", ", 1)[1]) if name == "pwrite64" else -1)


def _text(quoted: str) -> str:
    return bytes.fromhex("".join(_HEX.findall(quoted))).decode()


@dataclass
class _File:
    safe: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)


class Card:
    """Feed it calls; `after_power_cut` draws one of the states in which it may come back."""

    def __init__(self) -> None:
        self._names: dict[str, _File] = {}
        self._names_pending: list[Callable[[dict[str, _File]], None]] = []
        self._now: dict[str, _File] = {}

    def apply(self, call: Call) -> None:
        if call.name == "create" and call.path not in self._now:
            made = self._now[call.path] = _File()
            self._names_pending.append(lambda names: names.__setitem__(call.path, made))
        elif call.name == "unlink":
            self._now.pop(call.path, None)
            self._names_pending.append(lambda names: names.pop(call.path, None))
        elif call.name == "sync":
            self._commit_names()
            file = self._now.get(call.path)
            for write in file.pending if file else ():
                _apply(file.safe, write)  # type: ignore[union-attr]
            if file:
                file.pending = []
        elif call.name in ("pwrite64", "truncate"):
            self._now[call.path].pending.append(call)

    def _commit_names(self) -> None:
        for change in self._names_pending:
            change(self._names)
        self._names_pending = []

    def after_power_cut(self, numbers: random.Random) -> dict[str, bytes]:
        """Return name -> content, one of the possible outcomes."""
        names = dict(self._names)
        for change in self._names_pending[: numbers.randint(0, len(self._names_pending))]:
            change(names)
        return {path: _survived(file, numbers) for path, file in names.items()}


def _survived(file: _File, numbers: random.Random) -> bytes:
    content = bytearray(file.safe)
    chance = numbers.choice((0.0, 0.5, 0.9, 1.0))
    for call in file.pending:
        if numbers.random() >= chance:
            continue
        torn = call.name == "pwrite64" and numbers.random() < 0.3
        kept = numbers.randint(0, len(call.data) // SECTOR) * SECTOR if torn else len(call.data)
        _apply(content, Call(call.name, call.path, call.data[:kept], call.offset))
    return bytes(content)


def _apply(content: bytearray, call: Call) -> None:
    if call.name == "truncate":
        content[call.offset :] = bytes(max(call.offset - len(content), 0))
        return
    if len(content) < call.offset:
        content.extend(bytes(call.offset - len(content)))
    content[call.offset : call.offset + len(call.data)] = call.data


def marks(calls: Sequence[Call], name: str) -> Iterator[tuple[int, Call]]:
    return ((index, call) for index, call in enumerate(calls) if call.name == "write" and call.path.endswith(name))
