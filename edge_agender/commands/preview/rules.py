"""When nothing may be shown: the preview is for recordings of one's own, never for what the service watches."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agender.config.settings import Config
from edge_agender.errors import UsageError

SERVICE_USER = "edge-agender"
UNIT = "edge-agender.service"
# systemd gives these to a service with a state folder or Type=notify, as ours is; no shell has them.
UNIT_VARIABLES = ("STATE_DIRECTORY", "NOTIFY_SOCKET")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules look at; a test points it elsewhere."""

    environment: Mapping[str, str]
    user: str
    proc: Path = Path("/proc")

    @classmethod
    def of_this_process(cls) -> Surroundings:
        try:
            user = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            user = str(os.geteuid())
        return cls(os.environ, user)


def is_live(what: str) -> bool:
    """True for a camera or a stream: people who do not know that they are shown."""
    is_url = "://" in what and not what.startswith("file://")
    return what == "picamera2" or what.isdigit() or is_url or os.path.realpath(what).startswith("/dev/")


def refuse_to_show(
    what: str, service: Config, *, in_view: bool, writes: bool, here: Surroundings | None = None
) -> None:
    """Raise UsageError where the rules do not allow to show `what`; `service` is the configuration of this machine."""
    here = here or Surroundings.of_this_process()
    if any(here.environment.get(name) for name in UNIT_VARIABLES) or _in_unit(here.proc / "self/cgroup"):
        raise UsageError("preview shows pictures, the service never does: run it from a shell of your own")
    if here.user == SERVICE_USER:
        raise UsageError(f"preview does not run as {SERVICE_USER}, the user of the service: run it as yourself")
    if is_live(what):
        _refuse_camera(what, service, in_view, writes, here)


def _refuse_camera(what: str, service: Config, in_view: bool, writes: bool, here: Surroundings) -> None:
    if what == "picamera2":
        raise UsageError("preview does not show the Pi's camera: record a minute with rpicam-vid, and preview that")
    if _same_camera(what, service):
        raise UsageError("this camera is the service's, which shows no picture: give a recording, or another camera")
    if any(_services(here.proc)):
        raise UsageError("the service runs on this machine: stop it first, or give a recording instead of a camera")
    if writes:
        raise UsageError("a live camera is never written to disk: leave --out away, or give a recording")
    if not in_view:
        raise UsageError("a live camera shows people: add --i-am-in-view where it is your own and shows you alone")


def _same_camera(what: str, service: Config) -> bool:
    source = service.source
    return source.kind == "opencv" and source.opencv.uri is not None and _node(source.opencv.uri) == _node(what)


def _node(what: str) -> str:
    return what if "://" in what else os.path.realpath(f"/dev/video{what}" if what.isdigit() else what)


def _in_unit(cgroup: Path) -> bool:
    try:
        return UNIT in cgroup.read_text()
    except OSError:
        return False


def _services(proc: Path) -> Iterator[Path]:
    """Every process that runs the service, as far as this user may see."""
    for folder in proc.glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        named = [place for place, word in enumerate(words[:4]) if b"edge-agender" in word or word == b"edge_agender"]
        if _in_unit(folder / "cgroup") or (named and words[named[-1] + 1 : named[-1] + 2] == [b"run"]):
            yield folder
