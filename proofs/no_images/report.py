"""Puts one run of the daemon on trial: every byte that left it, every way out that carries bytes unseen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proofs.no_images.pixels import Finding, Known, Scanner
from proofs.no_images.trace import Escaped
from proofs.no_images.watched import Watched, files_left

# Where the daemon may write, next to what lies below its own folder.
DEVICES = ("/dev/null", "/dev/tty", "/dev/urandom", "/proc/self/")
# The index of SQLite's write-ahead log: page numbers, shared between readers of one store.
STORE_INDEX = "-shm"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in one run; nothing found is the proof."""

    findings: tuple[Finding, ...]
    bytes_out: int
    channels: int

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(finding.kind for finding in self.findings)


def judge(run: Watched, known: Known) -> Verdict:
    """Search everything that left one run."""
    scanner = Scanner(known)
    content = [*run.escaped.channels.items(), *files_left(run.home)]
    findings = [finding for where, data in content for finding in scanner.scan(where, data)]
    findings += ways_out(run.escaped, str(run.home))
    return Verdict(tuple(dict.fromkeys(findings)), sum(len(data) for _, data in content), len(content))


def ways_out(escaped: Escaped, home: str) -> Iterator[Finding]:
    """Yield what could carry bytes past the search: shared memory, moved pages, other processes, places to write to."""
    for name in sorted(escaped.shared_memory):
        if not (name.endswith(STORE_INDEX) and home in name):
            yield Finding("shared memory", name, "shared with whoever maps it")
    for name in sorted(escaped.shows_pictures):
        yield Finding("preview in the daemon", name, "code that shows pictures was loaded")
    for name in sorted(escaped.unseen):
        yield Finding("bytes moved unseen", name, "moves data between descriptors without showing it")
    for name in sorted(escaped.processes)[1:]:
        yield Finding("another process", name, "started by the daemon")
    for name in sorted(escaped.peers):
        if name.startswith("AF_INET") and LOOPBACK not in name:
            yield Finding("foreign peer", name, "reached over the network; the broker is on loopback")
    for name in sorted(escaped.opened_for_writing):
        if not name.startswith((home, *DEVICES)):
            yield Finding("foreign file", name, "opened for writing outside the state directory")
