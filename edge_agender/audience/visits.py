"""From faces to visits: how long each person stayed, looked, and before what."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edge_agender.audience.demography import person
from edge_agender.audience.distance import coarse, distance_cm
from edge_agender.audience.measures import ContentShare, Distance, Visit
from edge_agender.audience.tally import MOST_CONTENTS
from edge_agender.config.audience import AudienceConfig, LookingConfig
from edge_agender.vision.faces import Face

# Half a second of frames need not sum to 0.5 in binary.
GRACE_S = 5e-4
# A pattern that a detector takes for a face for a few frames is nobody who passed by.
OPPORTUNITY_S = 0.3


@dataclass(frozen=True, slots=True)
class Presence:
    """How a visit that goes on stands. `looking` is None where looks are not measured."""

    looking: bool | None
    dwell_s: float
    attention_s: float
    is_viewer: bool


class Gaze:
    """Looks of one face: by where the head points, with hysteresis, so that noise at the limit makes no glances.

    Without landmarks, by how frontal the face is.
    """

    __slots__ = ("_smooth", "by_pose", "config", "glances", "looking")

    def __init__(self, config: LookingConfig) -> None:
        self.config = config
        self._smooth: tuple[float, ...] | None = None
        self.looking = self.by_pose = False
        self.glances = 0

    @property
    def measured(self) -> bool:
        return self._smooth is not None

    def note(self, face: Face, since_s: float) -> float:
        """Take in one detection, `since_s` after the one before; return the seconds of looking in between.

        The first measurement stands for the time since the first detection too: dwell begins there.
        """
        first, values = self._smooth is None, _direction(face)
        lost = since_s > self.config.max_gap_s
        if lost:
            # Nobody saw what the face did for so long: it was turned away more likely than not.
            self._smooth, self.looking = values or self._smooth, False
        before = self.looking
        if values is not None:
            self.by_pose = face.pose is not None
            self._smooth = self._smoothed(values, since_s)
            self._judge(*self._limits(self._smooth))
        return since_s if before or (first and self.looking and not lost) else 0.0

    def _smoothed(self, values: tuple[float, ...], since_s: float) -> tuple[float, ...]:
        if self._smooth is None or len(self._smooth) != len(values) or not self.config.smooth_s:
            return values
        part = 1 - math.exp(-since_s / self.config.smooth_s)
        return tuple(old + part * (new - old) for old, new in zip(self._smooth, values, strict=True))

    def _limits(self, values: tuple[float, ...]) -> tuple[bool, bool]:
        """Return whether a look would begin here, and whether one would go on."""
        config = self.config
        if len(values) == 1:
            return values[0] >= config.starts_at, values[0] >= config.ends_at
        inside_deg = min(config.max_yaw_deg - abs(values[0]), config.max_pitch_deg - abs(values[1]))
        return inside_deg >= config.hysteresis_deg, inside_deg >= -config.hysteresis_deg

    def begins(self, values: tuple[float, ...]) -> bool:
        """Return whether a look would begin with this direction."""
        return self._limits(values)[0]

    def _judge(self, begins: bool, goes_on: bool) -> None:
        if not self.looking and begins:
            self.looking = True
            self.glances += 1
        elif self.looking and not goes_on:
            self.looking = False


def looks(face: Face, config: LookingConfig) -> bool | None:
    """Return whether one frame's face looks at the sign, without a history; None where it was not measured."""
    values = _direction(face)
    return None if values is None else Gaze(config).begins(values)


def _direction(face: Face) -> tuple[float, ...] | None:
    """Return yaw and pitch, or how frontal a face without landmarks is; None where this frame measured neither."""
    if face.pose is not None:
        return face.pose.yaw_deg, face.pose.pitch_deg
    return None if face.frontal is None else (face.frontal,)


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
        looked_s = self.gaze.note(face, since_s)
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
        self,
        faces: Sequence[Face],
        now_s: float,
        utc_s: float,
        content: str | None,
        focal_length_px: float,
        pictures: Collection[int] = (),
    ) -> list[Visit]:
        """Take in the faces that the tracker holds; return the visits of those it no longer does.

        `pictures` are tracks that turned out to be pictures of faces: what seemed to be their visits never was.
        """
        for track_id in pictures:
            self._stays.pop(track_id, None)
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
        _, viewer = self._ladder(stay, dwell_s, attention_s)
        return Presence(stay.gaze.looking if stay.gaze.measured else None, dwell_s, attention_s or 0.0, viewer)

    def _visit(self, stay: _Stay) -> Visit:
        dwell_s = stay.last_s - stay.face.first_seen_s
        measured = stay.gaze.measured
        attention_s = min(stay.attention_s, dwell_s) if measured else None
        is_pass, is_viewer = self._ladder(stay, dwell_s, attention_s)
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

    def _ladder(self, stay: _Stay, dwell_s: float, attention_s: float | None) -> tuple[bool, bool]:
        """Return whether somebody had an opportunity to see, and whether somebody was a viewer.

        Without landmarks, looks are too uncertain to decide who is one: being there does.
        """
        need = self._config.viewer
        is_pass = stay.face.hits >= need.min_detections and dwell_s >= OPPORTUNITY_S - GRACE_S
        looked = not stay.gaze.by_pose or (attention_s or 0.0) >= need.min_attention_s - GRACE_S
        return is_pass, is_pass and looked and dwell_s >= need.min_s - GRACE_S

    def _distance(self, stay: _Stay) -> Distance:
        if not stay.log_size_s[1]:
            return "unknown"
        size = math.exp(stay.log_size_s[0] / stay.log_size_s[1])
        return coarse(distance_cm(size, 1.0, self._config.distance.face_height_cm), self._config.distance)
