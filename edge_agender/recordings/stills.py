"""One still picture -> its annotated copy. What `predict --out` writes and `preview` shows of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2

from edge_agender.config.audience import AudienceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.pictures import read_picture
from edge_agender.imaging.preprocess import to_bgr
from edge_agender.recordings.draw import annotate
from edge_agender.recordings.marks import Mark, age_text, gender_text, shown_gender
from edge_agender.vision.faces import Estimate

MIN_CONFIDENCE = AudienceConfig().min_gender_confidence


def still_marks(faces: Sequence[Mapping[str, Any]]) -> list[Mark]:
    """Return a mark for each of predict's faces."""
    return [_mark(face) for face in faces]


def annotated(path: Path, faces: Sequence[Mapping[str, Any]], *, blur: bool) -> Picture:
    """Return the picture of a file, B, G, R, with predict's faces drawn on it; raise MediaError where it is none."""
    picture = to_bgr(read_picture(path))
    annotate(picture, still_marks(faces), blur=blur)
    return picture


class AnnotatedFolder:
    """Writes annotated copies into a folder as NAME.annotated.jpg. Raises MediaError, which says what to do."""

    def __init__(self, folder: Path, *, blur: bool) -> None:
        self._folder, self._blur = folder, blur
        self._names: set[str] = set()

    def write(self, path: Path, faces: Sequence[Mapping[str, Any]]) -> Path:
        """Write the copy of one picture file with predict's faces drawn on it; return where."""
        encoded = cv2.imencode(".jpg", annotated(path, faces, blur=self._blur), (cv2.IMWRITE_JPEG_QUALITY, 90))[1]
        out = self._folder / self._name(path)
        part = out.with_name(f".{out.name}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(encoded.tobytes())
            part.replace(out)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            advice = "give --out a folder with room that you may write"
            raise MediaError(f"{out}: {error.strerror or error}: {advice}") from None
        return out

    def _name(self, path: Path) -> str:
        """Pictures of several folders may have one name: none takes another's place."""
        name, number = f"{path.stem}.annotated.jpg", 1
        while name in self._names:
            number += 1
            name = f"{path.stem}.annotated-{number}.jpg"
        self._names.add(name)
        return name


def _mark(face: Mapping[str, Any]) -> Mark:
    box = Box(*face["box"])
    if face["age"] is None:
        return Mark(box, (f"face {face['score']:.2f}, unknown",), "unknown", "seen")
    sd = face["age"]["sd"]
    estimate = Estimate(face["age"]["years"], float("nan") if sd is None else sd, face["gender"]["p_female"])
    lines = (gender_text(estimate, MIN_CONFIDENCE), age_text(estimate))
    return Mark(box, lines, shown_gender(estimate, MIN_CONFIDENCE), "counted")
