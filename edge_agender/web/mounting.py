"""Is the camera mounted well? Rules over the faces in view, each with what to do. Values only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_agender.web.snapshot import AimFace

Verdict = Literal["ok", "warning", "failure", "unknown"]
Judgement: TypeAlias = tuple[Verdict, str]


@dataclass(frozen=True, slots=True)
class AimLimits:
    """Where the rules draw their lines; docs/mount.md explains each."""

    min_face_px: float = 24.0
    good_face_px: float = 32.0
    highest: float = 0.15
    lowest: float = 0.75
    min_sharpness: float = 0.3
    darkest: float = 0.2
    brightest: float = 0.85
    edge: float = 0.005


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule's outcome; `advice` is a sentence for the installer."""

    name: str
    verdict: Verdict
    advice: str


def check(faces: Sequence[AimFace], limits: AimLimits | None = None) -> tuple[Rule, ...]:
    """Return every rule's outcome; all are "unknown" while nobody is in view."""
    limits = limits or AimLimits()
    rules: dict[str, Callable[[Sequence[AimFace], AimLimits], Judgement]] = {
        "size": _size,
        "tilt": _tilt,
        "frame": _frame,
        "height": _height,
        "light": _light,
        "sharpness": _sharpness,
    }
    nobody: Judgement = ("unknown", "Stand where the audience will stand and look at the screen.")
    return tuple(Rule(name, *(rule(faces, limits) if faces else nobody)) for name, rule in rules.items())


def grade(face: AimFace, limits: AimLimits | None = None) -> dict[str, Verdict]:
    """Return how good one face's size, light and sharpness are: what its outlines show."""
    limits = limits or AimLimits()
    return {
        "size": _size([face], limits)[0],
        "light": _light([face], limits)[0],
        "sharpness": _sharpness([face], limits)[0],
    }


def _size(faces: Sequence[AimFace], limits: AimLimits) -> Judgement:
    smallest = min(face.size_px for face in faces)
    if smallest < limits.min_face_px:
        return "failure", f"A face of {smallest:.0f} pixels is too small: move the camera nearer, or zoom in."
    if smallest < limits.good_face_px:
        return "warning", f"A face of {smallest:.0f} pixels is just enough; {limits.good_face_px:.0f} are better."
    return "ok", f"The smallest face has {smallest:.0f} pixels."


def _tilt(faces: Sequence[AimFace], limits: AimLimits) -> Judgement:
    middle = sum(face.top + face.height / 2 for face in faces) / len(faces)
    if middle < limits.highest:
        return "failure", "The faces are at the upper edge: tilt the camera up."
    if middle > limits.lowest:
        return "failure", "The faces are low in the picture: tilt the camera down."
    return "ok", "The faces are at a good height in the picture."


def _frame(faces: Sequence[AimFace], limits: AimLimits) -> Judgement:
    cut = sum(_is_cut(face, limits.edge) for face in faces)
    if cut:
        return "warning", f"{cut} of {len(faces)} faces are cut by the edge: turn the camera, or step further away."
    return "ok", "No face is cut by the edge."


def _is_cut(face: AimFace, edge: float) -> bool:
    return min(face.left, face.top) < edge or max(face.left + face.width, face.top + face.height) > 1 - edge


def _height(faces: Sequence[AimFace], limits: AimLimits) -> Judgement:
    looks = [face.looking for face in faces if face.looking is not None]
    if not looks:
        return "unknown", "Whether faces look this way is not measured."
    if not any(looks):
        return "warning", "No face points at the camera: look at the screen; if you do, mount the camera lower."
    return "ok", f"{sum(looks)} of {len(looks)} faces point at the camera."


def _light(faces: Sequence[AimFace], limits: AimLimits) -> Judgement:
    lights = [face.light for face in faces]
    if min(lights) < limits.darkest:
        return "warning", "A face is too dark: add light from the front, or keep windows out of the picture."
    if max(lights) > limits.brightest:
        return "warning", "A face is too bright: keep the sun and spotlights off the faces."
    return "ok", "The faces are well lit."


def _sharpness(faces: Sequence[AimFace], limits: AimLimits) -> Judgement:
    if min(face.sharpness for face in faces) < limits.min_sharpness:
        return "warning", "A face is blurred: clean the lens, focus, or add light so that the exposure gets shorter."
    return "ok", "The faces are sharp."
