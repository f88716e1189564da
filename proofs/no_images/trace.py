"""Runs a command under strace and returns what left the process: bytes by channel, files, peers, shared memory."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

# Every call by which bytes can leave a process, and those that open a way out without a call for each byte.
SENDING = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,mq_timedsend,msgsnd,process_vm_writev"
NAMING = (
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,mknod,mknodat,setxattr,fsetxattr,lsetxattr"
)
OPENING = "open,openat,openat2,creat,connect,memfd_create,shmget,mmap,mremap,execve,clone,clone3,fork,vfork"
MOVING = "sendfile,splice,tee,vmsplice,copy_file_range,io_uring_setup,ptrace"
# Longer than any frame: a call that strace cut short would make the search incomplete, and is an error.
MAX_STRING_BYTES = 64 * 1024 * 1024

_CALL = re.compile(r"^(\d+\.\d+) (\w+)\((.*)\) += (\S+)(?:<.*)?(?: .*)?$")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"^(\d+)<((?:->|[^>])*)>")
_SHARED_WRITABLE = re.compile(r"PROT_WRITE.*MAP_SHARED")
_WRITABLE = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")
# The two folders of the package that draw on pictures and show them (tests/test_architecture.py).
_SHOWING = re.compile(r"edge_agender/(recordings|commands/preview)/")


class TraceError(RuntimeError):
    """The trace cannot be had or is incomplete; the text says why."""


class Call(NamedTuple):
    at_s: float
    name: str
    arguments: str
    result: str


@dataclass(slots=True)
class Escaped:
    """What left a process. Channels are named by call and file or socket."""

    channels: dict[str, bytes] = field(default_factory=dict)
    opened_for_writing: set[str] = field(default_factory=set)
    peers: set[str] = field(default_factory=set)
    shared_memory: set[str] = field(default_factory=set)
    processes: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    # Code that shows pictures, which a daemon has no business to load.
    shows_pictures: set[str] = field(default_factory=set)

    @property
    def bytes_out(self) -> int:
        return sum(len(data) for data in self.channels.values())


def traced_command(command: Sequence[str], folder: Path) -> list[str]:
    """Return the command that runs `command` under strace, with one file a thread below `folder`."""
    strace = shutil.which("strace")
    if strace is None:
        raise TraceError("strace is not installed: sudo apt install strace")
    calls = ",".join("?" + name for name in f"{SENDING},{NAMING},{OPENING},{MOVING}".split(","))
    options = ["-ff", "--seccomp-bpf", "-ttt", "-yy", "-xx", "-qq", "-s", str(MAX_STRING_BYTES), "-e", "signal=none"]
    return [strace, *options, "-e", f"trace={calls}", "-o", str(folder / "trace"), "--", *command]


def start(command: Sequence[str], folder: Path, cwd: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `command` traced; its output goes to a pipe that nobody of ours writes to, so that it is traced too."""
    folder.mkdir(parents=True)
    return subprocess.Popen(
        traced_command(command, folder), cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def collect(folder: Path) -> Escaped:
    """Return what the traces below `folder` show, in the order of time over all threads."""
    escaped = Escaped()
    sent: dict[str, list[bytes]] = {}
    for call in sorted(_calls(sorted(folder.glob("trace.*"))), key=lambda call: call.at_s):
        _note(call, escaped)
        if call.name in (SENDING + "," + NAMING).split(","):
            sent.setdefault(_channel(call), []).extend(strings(call.arguments))
    if not sent:
        raise TraceError("the trace is empty: strace may not follow processes here (run as root)")
    escaped.channels = {name: b"".join(parts) for name, parts in sent.items()}
    return escaped


def strings(arguments: str) -> list[bytes]:
    """Return every string of a call, raise TraceError where one was cut short."""
    found = []
    for text, cut in _STRING.findall(arguments):
        if cut:
            raise TraceError("strace cut a string short: the search would be incomplete")
        found.append(bytes.fromhex(text.replace("\\x", "")))
    return found


def _calls(files: Iterable[Path]) -> Iterator[Call]:
    for path in files:
        with path.open(errors="surrogateescape") as lines:
            for line in lines:
                if match := _CALL.match(line.rstrip("\n")):
                    yield Call(float(match[1]), match[2], match[3], match[4])


def _channel(call: Call) -> str:
    if call.name in NAMING.split(","):
        return "names of files"
    match = _DESCRIPTOR.match(call.arguments)
    return f"to {_readable(match[2])}" if match else f"by {call.name}"


def _readable(path: str) -> str:
    """A descriptor's path: in hexadecimal for files, as it stands for sockets and pipes."""
    return bytes.fromhex(path.replace("\\x", "")).decode("utf-8", "replace") if path.startswith("\\x") else path


def _note(call: Call, escaped: Escaped) -> None:
    """Record the ways out that carry no bytes themselves. Failed calls opened nothing."""
    if call.result.startswith("-1") and call.name != "connect":
        return
    if call.name in ("open", "openat") and _SHOWING.search(name := _last_string(call)):
        escaped.shows_pictures.add(name)
    if call.name in ("open", "openat", "openat2", "creat") and (
        _WRITABLE.search(call.arguments) or call.name == "creat"
    ):
        escaped.opened_for_writing.add(_last_string(call))
    elif call.name == "connect":
        escaped.peers.add(_peer(call.arguments))
    elif call.name == "shmget":
        escaped.shared_memory.add(f"{call.name} {_last_string(call)}".strip())
    elif call.name == "mmap" and _SHARED_WRITABLE.search(call.arguments):
        match = re.search(r", (\d+)<([^>]*)>", call.arguments)
        escaped.shared_memory.add(f"mapped {_readable(match[2])}" if match else "shared anonymous mapping")
    elif call.name == "execve" or (
        call.name in ("clone", "clone3", "fork", "vfork") and "CLONE_THREAD" not in call.arguments
    ):
        escaped.processes.add(f"{call.name} {_last_string(call)}".strip() if call.name == "execve" else call.name)
    elif call.name in MOVING.split(","):
        escaped.unseen.add(call.name)


def _last_string(call: Call) -> str:
    found = strings(call.arguments)
    return found[0].decode("utf-8", "replace") if found else ""


def _peer(arguments: str) -> str:
    texts = [text.decode("utf-8", "replace").strip("\0") for text in strings(arguments)]
    port = re.search(r"htons\((\d+)\)", arguments)
    family = re.search(r"sa_family=(\w+)", arguments)
    return " ".join([family[1] if family else "?", *texts, *([port[1]] if port else [])])
