"""A step -> the marks of its faces: what is counted, what is not, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge_agender.audience.demography import person
from edge_agender.audience.visits import Presence
from edge_agender.config.settings import Config
from edge_agender.imaging.geometry import Box
from edge_agender.recordings.marks import Mark, age_text, gender_text, shown_gender
from edge_agender.recordings.play import Step
from edge_agender.recordings.table import Here
from edge_agender.vision.faces import Face


def marks_of(step: Step, config: Config) -> list[Mark]:
    """Return a mark for every face of the step, in pixels of its full picture."""
    now_s = step.observation.captured_s
    here = [face for face in step.observation.faces if now_s - face.last_seen_s <= config.audience.hold_s]
    marks = [_believed(face, step.present.get(face.track_id), config) for face in here]
    marks += [Mark(face.box, ("unconfirmed",), "unknown", "left_out") for face in step.unconfirmed]
    return [*marks, *_too_small(step.too_small, config)]


def here_of(step: Step, config: Config) -> list[Here]:
    """Return who is here, with how each visit stands."""
    faces = {face.track_id: face for face in step.observation.faces}
    confidence = config.audience.min_gender_confidence
    return [
        Here(person(faces[track_id].estimate, confidence), presence)
        for track_id, presence in step.present.items()
        if track_id in faces
    ]


def _believed(face: Face, presence: Presence | None, config: Config) -> Mark:
    audience = config.audience
    lines = [f"#{face.track_id}"]
    if face.estimate is not None:
        lines = [
            f"#{face.track_id} {gender_text(face.estimate, audience.min_gender_confidence)}",
            age_text(face.estimate),
        ]
    counted = presence is not None and presence.is_viewer
    if presence is not None:
        lines.append(_stay(presence, config))
    gender = shown_gender(face.estimate, audience.min_gender_confidence)
    looking = None if presence is None else presence.looking
    return Mark(face.box, tuple(lines), gender, "counted" if counted else "seen", looking, _aim(face))


def _aim(face: Face) -> tuple[float, float] | None:
    """Return where a line of sight, as long as the face is high, ends in the picture; None without a pose."""
    if face.pose is None:
        return None
    (x, y), length = face.box.centre, face.box.height
    yaw, pitch = math.radians(face.pose.yaw_deg), math.radians(face.pose.pitch_deg)
    return x + length * math.sin(yaw) * math.cos(pitch), y - length * math.sin(pitch)


def _stay(presence: Presence, config: Config) -> str:
    if presence.is_viewer:
        looked = "" if presence.looking is None else f", looked {presence.attention_s:.1f} s"
        return f"here {presence.dwell_s:.1f} s{looked}"
    need = config.audience.viewer
    if presence.dwell_s < need.min_s:
        return f"not counted yet: {presence.dwell_s:.1f} of {need.min_s:g} s"
    if presence.attention_s < need.min_attention_s:
        return f"not counted: looked {presence.attention_s:.1f} of {need.min_attention_s:g} s"
    return "not counted yet: seen too seldom"


def _too_small(boxes: tuple[Box, ...], config: Config) -> Iterator[Mark]:
    for box in boxes:
        text = f"too small: {box.height:.0f} of {config.detector.min_face_px:.0f} px"
        yield Mark(box, (text,), "unknown", "left_out")
