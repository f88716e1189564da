"""From faces to an audience."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edge_agender.demography import GENDERS, AgeBands, person
from edge_agender.measures import FrameView
from edge_agender.records import Face
from edge_agender.settings import AudienceConfig


class FrameCounter:
    """Makes the per-frame view: who is here now."""

    def __init__(self, config: AudienceConfig) -> None:
        self._config = config
        self._bands = AgeBands(config.age_bands)

    def view(self, faces: Sequence[Face], *, sequence: int, now_s: float, utc_s: float) -> FrameView:
        """Return the audience of the frame at `now_s`; a face that was missed for up to `hold_s` is still here."""
        here = [face for face in faces if now_s - face.last_seen_s <= self._config.hold_s]
        people = [person(face.estimate, self._config.min_gender_confidence) for face in here]
        # By age: an order by track would let a subscriber follow one person from message to message.
        people.sort(key=lambda who: (who.years is None, who.years or 0.0))
        genders = Counter(who.gender for who in people)
        bands = Counter(self._bands.of(who.years) for who in people)
        ages = [who.years for who in people if who.years is not None]
        return FrameView(
            sequence=sequence,
            utc_s=utc_s,
            people=tuple(people),
            by_gender={gender: genders[gender] for gender in GENDERS},
            by_age_band={band: bands[band] for band in self._bands.labels},
            mean_age=sum(ages) / len(ages) if ages else None,
        )
