"""The configuration from afar: taken over or refused in words, kept for a start without the broker, and reported.

What is in force is on disk before it is taken over, marked as not proven. A process that dies of it in its first minute
comes back with it some times (it may have been the plug), and then without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edge_agender.audience.spans import number, whole
from edge_agender.common.masking import scrubbed
from edge_agender.config.remote import LENGTHS, LONGEST_REASON, digest, effective, value_of, with_remote
from edge_agender.config.settings import Config
from edge_agender.device.state import StateFolder
from edge_agender.errors import ConfigError, EdgeAgenderError
from edge_agender.messages.build import Report, reported_message
from edge_agender.messages.contract import RemoteState
from edge_agender.messages.inbound import Desired, parse_desired
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender

log = logging.getLogger(__name__)

NAME, FORMAT = "remote", 1
KEYS = {"format", "device", "in_force", "proven", "given_up", "length_changes"}
# What works for so long did not kill the process.
PROVEN_S = 60.0
MOST_STARTS = 3
# Each change of a length cuts the open spans short: a rollout and its way back, twice a day.
LENGTH_CHANGES, DAY_S = 4, 86_400.0

Apply = Callable[[Config], object]


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration from afar; revision 0: none. `starts`: how many processes began with it before it was proven."""

    revision: int = 0
    configuration: Mapping[str, Any] = field(default_factory=dict)
    since_utc_s: float | None = None
    starts: int = 0


LOCAL = InForce()


class Remote:
    """What is in force of what came from afar. One thread; `apply` raises, with the old one at work, what cannot be."""

    def __init__(self, folder: StateFolder, sender: Sender, local: Config) -> None:
        self._folder, self._sender, self._local = folder, sender, local
        self._listens = self._takes = local.fleet.remote_config
        self._running = local
        self._in_force = self._proven = LOCAL
        self._given_up = 0
        self._length_changes: list[float] = []
        self._latest: Desired | None = None
        self._desired_revision: int | None = None
        self._reasons: tuple[str, ...] = ()
        self._since_s: float | None = None
        self._saved: Mapping[str, Any] | None = None
        # Whoever never had a fleet says nothing of one.
        self.has_news = self._listens

    def start(self) -> Config:
        """Return what to begin with: the local configuration, with what a former process was given from afar."""
        self._load()
        found = self._in_force
        if not self._takes:
            self.has_news = found.revision > 0
            self._keep(LOCAL)
            return self._local
        if not found.revision:
            return self._local
        self._desired_revision = found.revision
        if found != self._proven and found.starts >= MOST_STARTS:
            found = self._proven
            self._give_up(f"the process ended {MOST_STARTS} times within {PROVEN_S:.0f} s of its start")
        self._in_force = found
        kept, self._running, reasons = self._beside(self._local)
        if reasons:
            self._refuse(reasons)
        self._keep(kept if kept == self._proven else replace(kept, starts=kept.starts + 1))
        if kept.revision:
            log.info("configuration from afar: revision %d is in force", kept.revision)
        return self._running

    def give_up(self, reason: str) -> None:
        """The service does not start with what is in force, but did with the local file alone."""
        self._give_up(reason)
        self._running = self._local
        self._keep(LOCAL)

    def _give_up(self, reason: str) -> None:
        """The revision in force is not tried again."""
        self._refuse(f"revision {self._in_force.revision}: {reason}")
        self._given_up = max(self._given_up, self._in_force.revision)

    def take(self, payload: bytes, apply: Apply, utc_s: float) -> None:
        """Take over what has come, or refuse it in words."""
        try:
            desired = parse_desired(payload)
        except ValueError as error:
            self._latest = None
            if self._takes:
                self._desired_revision = None
                self._refuse(str(error))
            return
        if not self._takes:
            self._latest = desired  # for when the file lets it in again: the broker sends it once a connection
        elif desired != self._latest:
            self._decide(desired, apply, utc_s)

    def _decide(self, desired: Desired, apply: Apply, utc_s: float) -> None:
        self._latest, self._desired_revision = desired, desired.revision
        in_force = Desired(self._in_force.revision, self._in_force.configuration)
        if desired.revision and desired == in_force:
            self._accept()
        elif reasons := self._stale(desired) or self._try(desired, apply, utc_s):
            self._refuse(reasons)
        else:
            self._accept()

    def reload(self, local: Config, apply: Apply, utc_s: float) -> None:
        """Let the local file, which has changed, take over, with what it still allows; raises what `apply` raises."""
        if local.fleet.remote_config and not self._listens:
            raise ConfigError("fleet.remote_config: a restart turns it on: systemctl restart edge-agender")
        before = self._takes
        kept, running, reasons = self._beside(local)
        apply(running)
        self._local, self._running, self._takes = local, running, local.fleet.remote_config
        self._keep(kept)
        self.has_news = self._takes or before
        if not self._takes:
            self._desired_revision, self._reasons = None, ()
        elif reasons:
            self._refuse(reasons)
        elif (self._reasons or not before) and self._latest is not None:
            self._decide(self._latest, apply, utc_s)  # the file may allow now what it did not before

    def _beside(self, local: Config) -> tuple[InForce, Config, str]:
        """Return what of afar stays in force beside a local file, all or nothing; both together; why it does not."""
        if not local.fleet.remote_config or not self._in_force.revision:
            return LOCAL, local, ""
        try:
            return self._in_force, with_remote(local, self._in_force.configuration), ""
        except ConfigError as error:
            return LOCAL, local, str(error)

    def progress(self, now_s: float, *, fresh: bool) -> None:
        """Note that there was progress: what is in force is proven by a minute of it. `now_s` is monotonic."""
        if self._in_force == self._proven or not fresh:
            return
        self._since_s = now_s if self._since_s is None else self._since_s
        if now_s - self._since_s >= PROVEN_S:
            self._proven = replace(self._in_force, starts=0)
            self._keep(self._proven)

    def message(self, utc_s: float) -> Message:
        """Return what is to be reported now."""
        self.has_news = False
        report = Report(
            utc_s=utc_s,
            state=self._state(),
            desired_revision=self._desired_revision,
            applied_revision=self._in_force.revision,
            applied_utc_s=self._in_force.since_utc_s,
            digest=digest(self._in_force.configuration),
            reasons=self._reasons,
            effective=effective(self._running) if self._takes else {},
        )
        return reported_message(self._sender, report)

    def _state(self) -> RemoteState:
        if not self._takes:
            return "off"
        if self._reasons:
            return "refused"
        return "applied" if self._in_force.revision else "local"

    def _stale(self, desired: Desired) -> str:
        if not desired.revision:
            return ""
        if desired.revision == self._given_up:
            return f"revision {desired.revision} was given up: the service did not run with it"
        if desired.revision <= self._in_force.revision:
            return f"revision {desired.revision}: {self._in_force.revision} is in force: give a higher number"
        return ""

    def _try(self, desired: Desired, apply: Apply, utc_s: float) -> str:
        """Take a configuration over; return why that cannot be, '' where it was done."""
        try:
            config = with_remote(self._local, desired.configuration)
        except ConfigError as error:
            return str(error)
        changed = [name for name in LENGTHS if value_of(config, name) != value_of(self._running, name)]
        recent = [at_s for at_s in self._length_changes if 0 <= utc_s - at_s < DAY_S]
        if changed and len(recent) >= LENGTH_CHANGES:
            return f"{changed[0]}: changed {LENGTH_CHANGES} times within a day: each time cuts what is open short"
        before = self._in_force
        self._length_changes = [*recent, utc_s] if changed else recent
        self._keep(InForce(desired.revision, desired.configuration, utc_s) if desired.revision else LOCAL)
        try:
            apply(config)
        except Exception as error:  # whatever it is: the old one is a good one
            log.debug("configuration from afar", exc_info=True)
            self._keep(before)
            return str(error) if isinstance(error, EdgeAgenderError) else f"it fails: {type(error).__name__}"
        self._running, self._since_s = config, None
        if not desired.revision:
            self._proven, self._given_up = LOCAL, 0
        return ""

    def _accept(self) -> None:
        self._reasons, self.has_news = (), True
        if self._in_force.revision:
            log.info("configuration from afar: revision %d is in force", self._in_force.revision)
        else:
            log.info("configuration from afar: taken back, the local file is in force alone")

    def _refuse(self, text: str) -> None:
        lines = tuple(_printable(scrubbed(line))[:LONGEST_REASON] for line in text.splitlines())
        for line in lines:
            log.warning("the configuration from afar is refused: %s", line)
        self._reasons, self.has_news = lines, True

    def _keep(self, in_force: InForce) -> None:
        self._in_force = in_force
        if in_force == LOCAL:
            self._proven = LOCAL
        saved = {
            "format": FORMAT,
            "device": f"{self._sender.prefix}/{self._sender.device}",
            "in_force": asdict(in_force),
            "proven": asdict(self._proven),
            "given_up": self._given_up,
            "length_changes": self._length_changes,
        }
        if saved != self._saved:
            self._saved = saved
            self._folder.save(NAME, saved)

    def _load(self) -> None:
        data = self._folder.load(NAME)
        if data is None:
            return
        try:
            if not isinstance(data, dict) or data.keys() != KEYS or data["format"] != FORMAT:
                raise ValueError("written by another version")
            if data["device"] != f"{self._sender.prefix}/{self._sender.device}":
                raise ValueError("of another device")
            in_force, proven = _from_plain(data["in_force"]), _from_plain(data["proven"])
            given_up, changes = whole(data["given_up"]), [number(each) for each in data["length_changes"]]
        except (ValueError, TypeError) as error:
            self._folder.set_aside(NAME, str(error))
            return
        self._in_force, self._proven = in_force, proven
        self._given_up, self._length_changes = given_up, changes


def _from_plain(data: Any) -> InForce:
    """Return what `asdict` made; raise ValueError for anything else."""
    if not isinstance(data, dict) or data.keys() != {"revision", "configuration", "since_utc_s", "starts"}:
        raise ValueError("not a configuration from afar")
    if not isinstance(data["configuration"], dict):
        raise ValueError("not a configuration from afar")
    since_s = data["since_utc_s"]
    return InForce(
        whole(data["revision"]),
        data["configuration"],
        None if since_s is None else number(since_s),
        whole(data["starts"]),
    )


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
