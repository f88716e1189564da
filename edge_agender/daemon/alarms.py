"""What needs a person, since when: the alarms of the health messages and of the status page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edge_agender.audience.spans import number
from edge_agender.capture.freshness import DARK
from edge_agender.config.settings import ScheduleConfig
from edge_agender.daemon.camera import Camera
from edge_agender.delivery.sinks import Sink
from edge_agender.device.clock import zone_problem
from edge_agender.device.health import Alarm
from edge_agender.device.state import StateFolder
from edge_agender.vision.pipeline import Observation

# So long without anybody is no quiet day: the camera looks at a wall, or is covered. Of a sign with opening hours, the
# hours that it was closed do not count alone: so much of the day it must have watched.
QUIET_S, QUIET_WATCHED_S = 86_400.0, 6 * 3600.0
QUIET = "nobody was seen for a day: see that the camera is not covered and looks at the audience"
# The hour in which somebody was seen last is known from the windows; the second is nobody's business.
HOUR_S = 3600
# A clock that goes by so much more or less than the time that passed was set.
CLOCK_SET_S = 5.0


class Alarms:
    """Holds what is wrong just now. `now_s` is time.monotonic(): a clock that is set moves no beginning."""

    def __init__(self) -> None:
        self.quiet = Quiet()
        self._since_s: dict[str, float] = {}
        self._switched: dict[str, None] = {}

    def switch(self, text: str, *, on: bool) -> None:
        """Show an alarm from now on, or no longer."""
        if on:
            self._switched[text] = None
        else:
            self._switched.pop(text, None)

    def note(self, now_s: float, utc_s: float, problems: Iterable[str], *, people: bool, watching: bool) -> None:
        """Take in what is wrong beside what was switched on, a line each; what is not among it is over.

        `watching`: there are frames; `people`: somebody is in view.
        """
        self.quiet.note(now_s, utc_s, people=people, watching=watching)
        quiet = [QUIET] if watching and self.quiet.since_utc_s is not None else []
        self._since_s = {text: self._since_s.get(text, now_s) for text in (*self._switched, *problems, *quiet)}

    def listed(self, now_s: float, utc_s: float) -> tuple[Alarm, ...]:
        """Return what was noted, in that order."""
        quiet_s = self.quiet.since_utc_s
        return tuple(
            Alarm(text, quiet_s if text == QUIET and quiet_s is not None else utc_s - (now_s - since_s))
            for text, since_s in self._since_s.items()
        )


def problems(camera: Camera, sink: Sink, folder: StateFolder, schedule: ScheduleConfig) -> Iterator[str]:
    """Yield what is wrong just now with camera, state, clock and the way to the broker, a line each."""
    link, outbox = sink.link(), sink.outbox()
    found = [
        camera.problem,
        DARK if camera.dark else None,
        *folder.alarms,
        zone_problem() if schedule.hours else None,
        link.conflict if link else None,
        outbox.alarm if outbox else None,
    ]
    yield from filter(None, found)


def picture_problems(observation: Observation) -> Iterator[str]:
    """Yield a line for each part of the view where a picture of a face is taken for nobody."""
    thirds = [3 * picture.box.centre[0] / observation.picture_px[0] for picture in observation.pictures]
    for i, part in enumerate(("left", "middle", "right")):
        if any(min(int(x), 2) == i for x in thirds):
            yield f"a picture of a face at the {part} of the view: turn the camera or cover it"


class Quiet:
    """Whether anybody was seen within the last day. It outlives a restart by `snapshot` and `restore`."""

    def __init__(self) -> None:
        self._seen_utc_s: float | None = None
        self._watched_s = 0.0
        self._last: tuple[float, float] | None = None

    def note(self, now_s: float, utc_s: float, *, people: bool, watching: bool) -> None:
        """Take in a moment, as `Alarms.note` does."""
        passed_s, set_by_s = self._passed(now_s, utc_s)
        before_utc_s = self._last[1] if self._last is not None else utc_s
        self._last = (now_s, utc_s)
        # Before anybody has come, the start stands for it.
        if people or self._seen_utc_s is None:
            self._seen_utc_s, self._watched_s = utc_s, 0.0
            return
        # One that lies ahead is of a process whose clock was right: ours is about to be set to what it stands in.
        if self._seen_utc_s <= before_utc_s:
            self._seen_utc_s += set_by_s
        self._watched_s += passed_s * watching

    @property
    def since_utc_s(self) -> float | None:
        """When somebody was seen last, to the hour, where that is a day ago; None where it is not."""
        if self._seen_utc_s is None or self._last is None or self._watched_s < QUIET_WATCHED_S:
            return None
        utc_s = self._last[1]
        # What was watched since is a day whatever the clock says, which may stand before the last visitor.
        seen_utc_s = min(self._seen_utc_s, utc_s - self._watched_s)
        return seen_utc_s // HOUR_S * HOUR_S if utc_s - seen_utc_s >= QUIET_S else None

    def snapshot(self) -> dict[str, float] | None:
        """Return all that a new process needs to go on, in JSON's types."""
        if self._seen_utc_s is None:
            return None
        return {"seen_utc_s": round(self._seen_utc_s, 1), "watched_s": round(self._watched_s, 1)}

    def restore(self, snapshot: Mapping[str, Any] | None) -> None:
        """Go on from another process's snapshot; raise ValueError for what is none."""
        if snapshot is None:
            return
        if not isinstance(snapshot, Mapping) or set(snapshot) != {"seen_utc_s", "watched_s"}:
            raise ValueError("when somebody was seen last cannot be read")
        seen_utc_s, watched_s = number(snapshot["seen_utc_s"]), number(snapshot["watched_s"])
        self._seen_utc_s, self._watched_s = seen_utc_s, watched_s

    def _passed(self, now_s: float, utc_s: float) -> tuple[float, float]:
        """Return the seconds since the moment before, and by how many the clock was set meanwhile."""
        if self._last is None:
            return 0.0, 0.0
        passed_s = max(now_s - self._last[0], 0.0)
        set_by_s = utc_s - self._last[1] - passed_s
        return passed_s, set_by_s if abs(set_by_s) > CLOCK_SET_S else 0.0
