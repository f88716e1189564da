"""From faces to visits: how long each person stayed, looked, and before what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agender.audience.demography import person
from edge_agender.audience.distance import coarse, distance_cm
from edge_agender.audience.measures import ContentShare, Distance, Visit
from edge_agender.audience.tally import MOST_CONTENTS
from edge_agender.config.audience import AudienceConfig, LookingConfig
from edge_agender.vision.faces import Face

# Half a second of frames need not sum to 0.5 in binary.
GRACE_S = 5e-4


@dataclass(frozen=True, slots=True)
class Presence:
    """How a visit that goes on stands. `looking` is None where looks are not measured."""

    looking: bool | None
    dwell_s: float
    attention_s: float
    is_viewer: bool


class Gaze:
    """Looks of one face: hysteresis on how frontal it is, so that noise at the limit makes no glances."""

    __slots__ = ("_frontal", "config", "glances", "looking")

    def __init__(self, config: LookingConfig) -> None:
        self.config = config
        self._frontal: float | None = None
        self.looking = False
        self.glances = 0

    @property
    def measured(self) -> bool:
        return self._frontal is not None

    def note(self, frontal: float | None, since_s: float) -> float:
        """Take in one detection, `since_s` after the one before; return the seconds of looking in between."""
        if since_s > self.config.max_gap_s:
            # Nobody saw what the face did for so long: it was turned away more likely than not.
            self._frontal, self.looking = frontal if frontal is not None else self._frontal, False
        before = self.looking
        if frontal is not None:
            self._judge(self._smoothed(frontal, since_s))
        return since_s if before else 0.0

    def _smoothed(self, frontal: float, since_s: float) -> float:
        if self._frontal is None or not self.config.smooth_s:
            self._frontal = frontal
        else:
            self._frontal += (1 - math.exp(-since_s / self.config.smooth_s)) * (frontal - self._frontal)
        return self._frontal

    def _judge(self, frontal: float) -> None:
        if not self.looking and frontal >= self.config.starts_at:
            self.looking = True
            self.glances += 1
        elif self.looking and frontal < self.config.ends_at:
            self.looking = False


class _Stay:
    """A visit that goes on."""

    __slots__ = ("attention_s", "content", "face", "first_utc_s", "gaze", "last_s", "last_utc_s", "log_size_s")

    def __init__(self, face: Face, utc_s: float, now_s: float, config: LookingConfig) -> None:
        self.face = face
        self.first_utc_s = utc_s - (now_s - face.first_seen_s)
        self.last_s, self.last_utc_s = face.first_seen_s, self.first_utc_s
        self.gaze = Gaze(config)
        self.attention_s = 0.0
        self.content: dict[str, list[float]] = {}
        # Sums of the log of height by focal length and of its weights, the seconds: the geometric mean is robust to a
        # short close-up.
        self.log_size_s = [0.0, 0.0]

    def see(self, face: Face, utc_s: float, now_s: float, content: str | None, focal_length_px: float) -> None:
        since_s = max(face.last_seen_s - self.last_s, 0.0)
        self.face = face
        self.last_s, self.last_utc_s = face.last_seen_s, utc_s - (now_s - face.last_seen_s)
        looked_s = self.gaze.note(face.frontal, since_s)
        self.attention_s += looked_s
        weight_s = since_s + 1e-3
        self.log_size_s[0] += weight_s * math.log(max(face.box.height, 1.0) / focal_length_px)
        self.log_size_s[1] += weight_s
        if content is not None and (content in self.content or len(self.content) < MOST_CONTENTS):
            share = self.content.setdefault(content, [0.0, 0.0])
            share[0] += since_s
            share[1] += looked_s


class Visits:
    """Follows everybody's visit from the faces of each frame. Identities are the tracker's, and end here."""

    def __init__(self, config: AudienceConfig) -> None:
        self._config = config
        self._stays: dict[int, _Stay] = {}

    def observe(
        self, faces: Sequence[Face], now_s: float, utc_s: float, content: str | None, focal_length_px: float
    ) -> list[Visit]:
        """Take in the faces that the tracker holds; return the visits of those it no longer does."""
        held = {face.track_id: face for face in faces}
        for track_id, face in held.items():
            stay = self._stays.get(track_id)
            if stay is None:
                stay = self._stays[track_id] = _Stay(face, utc_s, now_s, self._config.looking)
            if face.last_seen_s > stay.last_s or stay.face is face:
                stay.see(face, utc_s, now_s, content, focal_length_px)
        gone = [track_id for track_id in self._stays if track_id not in held]
        return [self._visit(self._stays.pop(track_id)) for track_id in gone]

    def take_over(self, before: Visits) -> None:
        """Go on with the visits that another configuration of this process follows: nobody is counted twice."""
        self._stays = before._stays
        for stay in self._stays.values():
            stay.gaze.config = self._config.looking

    def present(self) -> dict[int, Presence]:
        """Return how each visit that goes on stands, by track: for showing, never for sending."""
        return {track_id: self._presence(stay) for track_id, stay in self._stays.items()}

    def close(self) -> list[Visit]:
        """End every visit, as before a stop; return them."""
        stays, self._stays = self._stays, {}
        return [self._visit(stay) for stay in stays.values()]

    def _presence(self, stay: _Stay) -> Presence:
        dwell_s = stay.last_s - stay.face.first_seen_s
        attention_s = min(stay.attention_s, dwell_s) if stay.gaze.measured else None
        _, viewer = self._ladder(stay.face.hits, dwell_s, attention_s)
        return Presence(stay.gaze.looking if stay.gaze.measured else None, dwell_s, attention_s or 0.0, viewer)

    def _visit(self, stay: _Stay) -> Visit:
        dwell_s = stay.last_s - stay.face.first_seen_s
        measured = stay.gaze.measured
        attention_s = min(stay.attention_s, dwell_s) if measured else None
        is_pass, is_viewer = self._ladder(stay.face.hits, dwell_s, attention_s)
        return Visit(
            first_utc_s=stay.first_utc_s,
            last_utc_s=stay.last_utc_s,
            dwell_s=dwell_s,
            attention_s=attention_s,
            glances=stay.gaze.glances if measured else None,
            person=person(stay.face.estimate, self._config.min_gender_confidence),
            estimate=stay.face.estimate,
            distance=self._distance(stay),
            content=tuple(
                ContentShare(id_, share[0], min(share[1], share[0]) if measured else None)
                for id_, share in stay.content.items()
            ),
            is_pass=is_pass,
            is_viewer=is_viewer,
            is_engaged=is_viewer and (attention_s or 0.0) >= self._config.viewer.engaged_s - GRACE_S,
        )

    def _ladder(self, hits: int, dwell_s: float, attention_s: float | None) -> tuple[bool, bool]:
        """Return whether somebody had an opportunity to see, and whether somebody was a viewer.

        Where looks are not measured at all, being there makes a viewer.
        """
        need = self._config.viewer
        is_pass = hits >= need.min_detections
        looked = attention_s is None or attention_s >= need.min_attention_s - GRACE_S
        return is_pass, is_pass and looked and dwell_s >= need.min_s - GRACE_S

    def _distance(self, stay: _Stay) -> Distance:
        if not stay.log_size_s[1]:
            return "unknown"
        size = math.exp(stay.log_size_s[0] / stay.log_size_s[1])
        return coarse(distance_cm(size, 1.0, self._config.distance.face_height_cm), self._config.distance)
