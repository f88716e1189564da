"""`evaluate faces|boxes`: the figures of the model cards, on anybody's labelled pictures."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agender.commands.evaluate.scoring import (
    MIN_HEIGHTS,
    OLDEST,
    Judged,
    LabelledBox,
    Scene,
    average_precision,
    band_of,
    by,
    group_of,
    summary,
)
from edge_agender.errors import MediaError
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection

Predict = Callable[[Path], dict[str, Any]]
Progress = Callable[[int, int], None]
MAX_AGE = 120


@dataclass(frozen=True, slots=True)
class FaceLabel:
    path: str
    ages: tuple[float, float]
    female: bool
    group: str


@dataclass(frozen=True, slots=True)
class BoxLabel:
    path: str
    height_px: float
    faces: tuple[LabelledBox, ...]


def evaluate_faces(
    labels_path: Path, predict: Predict, root: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Return age and gender figures over the pictures of a CSV: path, age, gender (male or female), perhaps group.

    An age is in years, or a group such as 30-39 or 70+: then the error is the distance to the group. Each picture shows
    one labelled person, taken to be the face that is large and near the middle. Paths are relative to `root`, which is
    the CSV's folder where not given. A picture that cannot be read is counted and left out.
    """
    labels = read_face_labels(labels_path)
    people: list[Judged] = []
    missed = silent = unreadable = 0
    for label, answer in _predictions(labels, root or labels_path.parent, predict, progress):
        if answer is None:
            unreadable += 1
            continue
        if not answer["faces"]:
            missed += 1
            continue
        face = _labelled_one(answer)
        if face["age"] is None:
            silent += 1
        else:
            people.append(_judged(label, face))
    shown = len(people) + missed + silent
    report: dict[str, Any] = {"images": shown, "unreadable": unreadable, "no_estimate": silent}
    report["detected"] = round((shown - missed) / max(shown, 1), 4)
    if people:
        report |= summary(people) | {"bands": by(people, band_of), "groups": by(people, group_of)}
    return report


def evaluate_boxes(
    labels_path: Path, predict: Predict, root: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Return average precisions over the pictures of a JSON list: path, width, height, faces [{box, ignore}].

    Boxes are [x, y, width, height] in pixels. Predict with a low score threshold: the curve needs the doubtful ones.
    """
    labels = read_box_labels(labels_path)
    scenes: list[Scene] = []
    unreadable = 0
    for label, answer in _predictions(labels, root or labels_path.parent, predict, progress):
        if answer is None:
            unreadable += 1
            continue
        found = tuple(Detection(Box(*face["box"]), face["score"]) for face in answer["faces"])
        scenes.append(Scene(label.height_px, label.faces, found))
    heights = {f"min_height_{height}": average_precision(scenes, height) for height in MIN_HEIGHTS}
    return {"images": len(scenes), "unreadable": unreadable, **heights}


def read_face_labels(path: Path) -> list[FaceLabel]:
    """Return the labels of a CSV; raise MediaError, with the line's number, where one cannot be used."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = {"path", "age", "gender"} - set(rows.fieldnames or ())
            if missing:
                raise MediaError(
                    f"{path}: has no column {', '.join(sorted(missing))}: expected path, age, gender, group"
                )
            labels = [_face_label(row, f"{path} line {rows.line_num}") for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"{path}: {getattr(error, 'strerror', None) or error}: give a CSV of labels") from None
    return _some(labels, path)


def read_box_labels(path: Path) -> list[BoxLabel]:
    """Return the labels of a JSON list; raise MediaError, with the entry's number, where one cannot be used."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MediaError(f"{path}: {getattr(error, 'strerror', None) or error}: give a JSON list of labels") from None
    if not isinstance(entries, list):
        raise MediaError(f"{path}: expected a list of pictures, found {type(entries).__name__}")
    return _some([_box_label(entry, f"{path} entry {number}") for number, entry in enumerate(entries, 1)], path)


def _some(labels: list[Any], path: Path) -> list[Any]:
    if not labels:
        raise MediaError(f"{path}: holds no labels")
    return labels


def _predictions(
    labels: list[Any], root: Path, predict: Predict, progress: Progress | None
) -> Iterator[tuple[Any, dict[str, Any] | None]]:
    """Yield each label with what was predicted for its picture; None where the picture cannot be read."""
    readable = 0
    for number, label in enumerate(labels, 1):
        answer: dict[str, Any] | None = None
        try:
            answer = predict(root / label.path)
            readable += 1
        except MediaError as error:
            if number == len(labels) and not readable:
                raise MediaError(f"no picture can be read, the last because: {error}: give their folder") from None
        yield label, answer
        if progress:
            progress(number, len(labels))


def _labelled_one(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the face of a picture that is large and near its middle: cut pictures show parts of others beside it."""
    width, height = answer["width"], answer["height"]

    def weight(face: dict[str, Any]) -> float:
        box = Box(*face["box"])
        aside: float = math.hypot((box.x1 + box.x2 - width) / 2, (box.y1 + box.y2 - height) / 2) / max(width, 1)
        return math.sqrt(box.area) / (1 + 2 * aside)

    faces: list[dict[str, Any]] = answer["faces"]
    return max(faces, key=weight)


def _judged(label: FaceLabel, face: dict[str, Any]) -> Judged:
    sd = face["age"].get("sd")
    return Judged(
        ages=label.ages,
        female=label.female,
        group=label.group,
        years=face["age"]["years"],
        years_sd=math.nan if sd is None else sd,
        p_female=face["gender"]["p_female"],
    )


def _face_label(row: dict[str, str | None], where: str) -> FaceLabel:
    low, high = _ages(row["age"] or "")
    gender = (row["gender"] or "").strip().lower()
    if not row["path"] or not 0 <= low <= high <= MAX_AGE or gender not in ("male", "female"):
        raise MediaError(f"{where}: wants a path, an age from 0 to {MAX_AGE} or a group of ages, and male or female")
    return FaceLabel(row["path"], (low, high), gender == "female", (row.get("group") or "all").strip())


def _ages(text: str) -> tuple[float, float]:
    """Return the ages that a label allows: 34 alone, 30-39 up to below 40, 70+ up to OLDEST; NaN where it is none."""
    low, dash, high = text.strip().removesuffix("+").partition("-")
    try:
        until = float(high) + 1 if dash else OLDEST if text.strip().endswith("+") else float(low)
        return float(low), until
    except ValueError:
        return math.nan, math.nan


def _box_label(entry: Any, where: str) -> BoxLabel:
    try:
        faces = tuple(_labelled(face) for face in entry["faces"])
        return BoxLabel(str(entry["path"]), float(entry["height"]), faces)
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"{where}: wants path, height and faces [{{box: [x, y, w, h]}}]: {error!r}") from None


def _labelled(face: Any) -> LabelledBox:
    x, y, width, height = (float(value) for value in face["box"])
    return LabelledBox(Box(x, y, x + width, y + height), bool(face.get("ignore", False)))
