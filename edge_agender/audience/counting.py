"""From faces to an audience: who is here now, whose visit is over, which windows and periods are complete."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from edge_agender.audience.demography import GENDERS, AgeBands, person
from edge_agender.audience.measures import Content, Demographics, FrameView, Gender, Visit
from edge_agender.audience.periods import Periods
from edge_agender.audience.privacy import fewest
from edge_agender.audience.spans import Closed, Spans
from edge_agender.audience.tally import Tally, windows_of
from edge_agender.audience.visits import Presence, Visits
from edge_agender.config.audience import AudienceConfig
from edge_agender.config.settings import Config
from edge_agender.vision.faces import Face

# Of the state on disk.
FORMAT = 2


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
        cells: Counter[tuple[Gender, str]] = Counter()
        for who in people:
            band = self._bands.of(who.years)
            genders[who.gender] += 1
            bands[band] += 1
            cells[who.gender, band] += 1
        ages = [who.years for who in people if who.years is not None]
        mean_age = sum(ages) / len(ages) if ages else None
        # In a fixed order: that of their appearance would let a subscriber follow one person from message to message.
        ordered = {(gender, band): cells[gender, band] for gender in genders for band in bands if cells[gender, band]}
        return FrameView(sequence, utc_s, len(people), genders, bands, ordered, mean_age, tuple(people))


class Audience:
    """Visits, windows and the demographics' periods. One thread; times come with the frames."""

    def __init__(self, config: Config) -> None:
        self._hold_s = config.audience.hold_s
        self._visits = Visits(config.audience)
        # The tracker knows of an exit only so much later, and searches may be up to a second apart.
        grace_s = config.tracking.max_gap_s + config.tracking.rejoin_s + 1.0
        self._windows = Spans(config.window.length_s, grace_s, windows_of(fewest(config.privacy)))
        self._periods = Periods(
            config.demographics.period_s,
            grace_s,
            AgeBands(config.audience.age_bands),
            min_cell=config.privacy.min_cell,
            by_content=config.demographics.split == "content",
            # Whoever could foresee the rounding could compute small cells back.
            chance=random.SystemRandom().random,
        )
        self._content = Content(None)
        # Which window each track that the tracker holds was last counted in as present.
        self._present: dict[int, int] = {}

    @property
    def content(self) -> Content:
        """What the sign shows, as it was last said."""
        return self._content

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
        pictures: Collection[int] = (),
    ) -> list[Visit]:
        """Take in what the tracker holds after a frame; return the visits that are over.

        `pictures` are tracks that turned out to be pictures of faces.
        """
        content = self._content.at(utc_s)
        visits = self._visits.observe(faces, now_s, utc_s, content, focal_length_px, pictures)
        self._count(visits)
        present = here(faces, now_s, self._hold_s)
        for tally, seconds in self._windows.watched(utc_s, now_s):
            tally.watch(seconds, len(present), luma, content)
        self._periods.watch(utc_s, now_s)
        self._note(self._windows.at(utc_s), faces, present, throttled)
        return visits

    def present(self) -> dict[int, Presence]:
        """Return how each visit that goes on stands, by track: for showing, never for sending."""
        return self._visits.present()

    def close(self) -> list[Visit]:
        """End every visit, as before a stop or when the camera closes; return them."""
        visits = self._visits.close()
        self._count(visits)
        return visits

    def windows_due(self, utc_s: float) -> list[Closed[Tally]]:
        """Return the windows that are complete, each once. Call it also while no frames come."""
        return self._windows.due(utc_s)

    def demographics_due(self, utc_s: float) -> list[Demographics]:
        """Return the demographics of the periods that are complete, each once."""
        return self._periods.due(utc_s)

    def snapshot(self) -> dict[str, Any]:
        """Return what is open in JSON's types: sums only, no visit that goes on and no identity."""
        return {"format": FORMAT, "windows": self._windows.snapshot(), "demographics": self._periods.snapshot()}

    def restore(self, snapshot: Mapping[str, Any], utc_s: float) -> None:
        """Go on from another process's snapshot; raise ValueError, with nothing changed, where it cannot be used."""
        if not isinstance(snapshot, Mapping) or snapshot.get("format") != FORMAT:
            raise ValueError("not a state of the figures, or of another format")
        try:
            windows = self._windows.restored(snapshot["windows"], utc_s)
            self._periods.restore(snapshot["demographics"], utc_s)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the figures' state cannot be read: {error!r}") from None
        self._windows = windows

    def take_over(self, before: Audience, utc_s: float) -> None:
        """Go on with what another configuration of this process counts: visits, sums, and what the sign shows."""
        self.restore(before.snapshot(), utc_s)
        self._windows.go_on_from(before._windows)
        self._periods.go_on_from(before._periods)
        self._visits.take_over(before._visits)
        self._content, self._present = before._content, before._present

    def cut(self) -> None:
        """End everything that is open now, as at the end of a recording or before another source."""
        self._windows.cut()
        self._periods.cut()

    def _note(self, tally: Tally, held: Sequence[Face], present: Sequence[Face], throttled: bool | None) -> None:
        tally.peak_count = max(tally.peak_count, len(present))
        if throttled is not None:
            tally.throttled = throttled or bool(tally.throttled)
        before = self._present
        # Whoever looks away and back is the same person: else one alone would be enough of them for a released mean.
        self._present = {face.track_id: before[face.track_id] for face in held if face.track_id in before}
        self._present |= {face.track_id: tally.number for face in present}
        tally.present += sum(before.get(face.track_id) != tally.number for face in present)

    def _count(self, visits: Sequence[Visit]) -> None:
        for visit in visits:
            self._windows.at(visit.last_utc_s).leave(visit)
            self._periods.leave(visit)


def here(faces: Sequence[Face], now_s: float, hold_s: float) -> list[Face]:
    """Return the faces seen within the last `hold_s`: a single miss of the detector is nobody's exit."""
    return [face for face in faces if now_s - face.last_seen_s <= hold_s]
