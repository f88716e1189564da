"""From faces to an audience: who is here now, whose visit is over, which windows are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_agender.audience.demography import GENDERS, AgeBands, person
from edge_agender.audience.measures import Content, FrameView, Visit
from edge_agender.audience.visits import Presence, Visits
from edge_agender.audience.windows import ClosedWindow, Windows
from edge_agender.config.settings import AudienceConfig, TrackingConfig, WindowConfig
from edge_agender.vision.faces import Face


class FrameCounter:
    """Makes the per-frame view: who is here now."""

    def __init__(self, config: AudienceConfig) -> None:
        self._config = config
        self._bands = AgeBands(config.age_bands)

    def view(self, faces: Sequence[Face], *, sequence: int, now_s: float, utc_s: float) -> FrameView:
        """Return the audience of the frame at `now_s`; a face that was missed for up to `hold_s` is still here."""
        faces = here(faces, now_s, self._config.hold_s)
        people = [person(face.estimate, self._config.min_gender_confidence) for face in faces]
        # By age: an order by track would let a subscriber follow one person from message to message.
        people.sort(key=lambda who: (who.years is None, who.years or 0.0))
        genders, bands = dict.fromkeys(GENDERS, 0), dict.fromkeys(self._bands.labels, 0)
        for who in people:
            genders[who.gender] += 1
            bands[self._bands.of(who.years)] += 1
        ages = [who.years for who in people if who.years is not None]
        mean_age = sum(ages) / len(ages) if ages else None
        return FrameView(sequence, utc_s, tuple(people), genders, bands, mean_age)


class Audience:
    """Visits and windows. One thread; times come with the frames."""

    def __init__(self, config: AudienceConfig, window: WindowConfig, tracking: TrackingConfig) -> None:
        self._hold_s = config.hold_s
        self._visits = Visits(config)
        # The tracker knows of an exit only max_gap_s later, and searches may be up to a second apart.
        self._windows = Windows(window.length_s, tracking.max_gap_s + 1.0, AgeBands(config.age_bands))
        self._content = Content(None)

    def show(self, content: Content) -> None:
        """From now on the sign shows this."""
        self._content = content

    def observe(
        self,
        faces: Sequence[Face],
        *,
        now_s: float,
        utc_s: float,
        focal_length_px: float,
        luma: float | None = None,
        throttled: bool | None = None,
    ) -> list[Visit]:
        """Take in what the tracker holds after a frame; return the visits that are over."""
        content = self._content.at(utc_s)
        visits = self._visits.observe(faces, now_s, utc_s, content, focal_length_px)
        self._count(visits)
        self._windows.watch(utc_s, now_s, len(here(faces, now_s, self._hold_s)), luma, throttled, content)
        return visits

    def present(self) -> dict[int, Presence]:
        """Return how each visit that goes on stands, by track: for showing, never for sending."""
        return self._visits.present()

    def close(self) -> list[Visit]:
        """End every visit, as before a stop or when the camera closes; return them."""
        visits = self._visits.close()
        self._count(visits)
        return visits

    def windows_due(self, utc_s: float) -> list[ClosedWindow]:
        """Return the windows that are complete, each once. Call it also while no frames come."""
        return self._windows.due(utc_s)

    def snapshot(self) -> dict[str, Any]:
        """Return the open windows in JSON's types: sums only, no visit that goes on and no identity."""
        return self._windows.snapshot()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on with the windows of the process before; raise ValueError, with nothing changed, for anything else."""
        self._windows.restore(snapshot)

    def _count(self, visits: Sequence[Visit]) -> None:
        for visit in visits:
            self._windows.leave(visit)


def here(faces: Sequence[Face], now_s: float, hold_s: float) -> list[Face]:
    """Return the faces seen within the last `hold_s`: a single miss of the detector is nobody's exit."""
    return [face for face in faces if now_s - face.last_seen_s <= hold_s]
