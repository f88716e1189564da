"""What to do about the camera, from what a recording showed. Rules over figures, as docs/mount.md explains them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edge_agender.commands.report.collect import Recording

MIN_FACE_PX, GOOD_FACE_PX = 24.0, 32.0
DARK_LUMA, BRIGHT_LUMA = 50.0, 205.0
# Parts of all looks at a face.
OFTEN_SMALL, OFTEN_CUT, OFTEN_UNCONFIRMED = 0.15, 0.15, 0.25
SURE_GENDER = 0.7


class Advice(NamedTuple):
    """`good` True where nothing is to be done."""

    good: bool
    text: str


def advice(recordings: Sequence[Recording]) -> list[Advice]:
    """Return one line a rule that says something; "nobody was found" alone where that is so."""
    heights = [height for each in recordings for height in each.faces.heights_px]
    if not heights:
        small = sum(each.faces.too_small for each in recordings)
        why = f"{small} faces were too small: zoom in, or move the camera nearer" if small else (
            "stand where the audience stands, look at the sign, and record again; faces must point towards the camera"
        )  # fmt: skip
        return [Advice(False, f"No face was found. {why[0].upper()}{why[1:]}.")]
    return [*_size(recordings, heights), *_light(recordings), *_frame(recordings, len(heights)), *_sure(recordings)]


def _size(recordings: Sequence[Recording], heights: Sequence[float]) -> Iterator[Advice]:
    middle = statistics.median(heights)
    small = sum(each.faces.too_small for each in recordings)
    if middle < MIN_FACE_PX:
        yield Advice(
            False, f"Faces are {middle:.0f} pixels high: move the camera nearer, or zoom in to {GOOD_FACE_PX:.0f}."
        )
    elif middle < GOOD_FACE_PX:
        yield Advice(False, f"Faces are {middle:.0f} pixels high, just enough; {GOOD_FACE_PX:.0f} are better.")
    else:
        yield Advice(True, f"Faces are {middle:.0f} pixels high.")
    if small > OFTEN_SMALL * (small + len(heights)):
        yield Advice(
            False, f"{small} of {small + len(heights)} sightings were too small to count: people pass far away."
        )


def _light(recordings: Sequence[Recording]) -> Iterator[Advice]:
    luma = statistics.median([luma for each in recordings for luma in each.lumas])
    if luma < DARK_LUMA:
        yield Advice(False, "The picture is dark: add light from the front.")
    elif luma > BRIGHT_LUMA:
        yield Advice(False, "The picture is bright: keep the sun and windows out of it.")
    else:
        yield Advice(True, f"The light is fine (mean luma {luma:.0f} of 255).")


def _frame(recordings: Sequence[Recording], looks: int) -> Iterator[Advice]:
    cut = sum(each.faces.cut for each in recordings)
    if cut > OFTEN_CUT * looks:
        yield Advice(False, f"{100 * cut / looks:.0f} % of the faces are cut by the edge: turn the camera.")
    unconfirmed = sum(each.faces.unconfirmed for each in recordings)
    if unconfirmed > OFTEN_UNCONFIRMED * (looks + unconfirmed):
        yield Advice(
            False, "Many faces stayed unconfirmed: posters, backs of heads, blur. Look at edge-agender preview."
        )


def _sure(recordings: Sequence[Recording]) -> Iterator[Advice]:
    viewers = [visit for each in recordings for visit in each.viewers]
    if not viewers:
        yield Advice(False, "Nobody stayed long enough to count as a viewer (audience.viewer).")
        return
    unknown = sum(visit.person.gender == "unknown" for visit in viewers)
    if unknown > len(viewers) / 4:
        yield Advice(
            False, f"The gender of {unknown} of {len(viewers)} viewers is unknown: larger, better lit faces help."
        )
    looks = [visit.attention_s for visit in viewers if visit.attention_s is not None]
    if looks and not any(looks):
        yield Advice(False, "No viewer looked at the camera: mount it at the height of the faces, beside the sign.")
