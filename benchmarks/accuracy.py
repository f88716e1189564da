"""The demos' rows, others' networks and ours, on the same labelled pictures, from one run:

    edge-agender models add res10; edge-agender models add ssrnet; edge-agender models add ssrnet-demo   # or --from
    python -m benchmarks.accuracy faces LABELS.csv... --root DIR [--field FIELD] [--sample 400] [--border 0.3]
    python -m benchmarks.accuracy boxes LABELS.json --root DIR [--models DIR] [--sample 300]

`faces`: end to end (detect, crop, estimate), both ways round; all but the demos' rows get the boxes and landmarks of
our detector. `boxes`: average precision of detectors. LABELS as for `edge-agender evaluate`, such as `python -m
training.held_out` writes them. `--sample` takes that many pictures, evenly spread. `--border` adds a grey border of
that part of the picture to each side: res10 finds few faces that fill a picture. FIELD is what `python -m
benchmarks.field.convert` has made, `--models` a folder with yunet_n.onnx, yunet_s.onnx and scrfd_2.5g_kps.onnx. Rows
that cannot run say why.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.field.rows import DETECTORS, ESTIMATORS, Folders
from edge_agender.commands.evaluate.figures import evaluate_boxes, evaluate_faces
from edge_agender.common.output import run_script
from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import EdgeAgenderError
from edge_agender.imaging.pictures import read_picture
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.pipeline import Detector, Estimator
from edge_agender.vision.stills import frame_of, predict_image

Predict = Callable[[Path], dict[str, Any]]
# Average precision looks at every threshold.
LEAST_SCORE = 0.02


def face_predictor(detector: Detector, estimator: Estimator, border: float) -> Predict:
    """Return what `edge-agender predict` says of a picture with a border."""

    def predict(path: Path) -> dict[str, Any]:
        image = read_picture(path)
        pad = round(border * max(image.shape[:2]))
        grey = (127, 127, 127)
        bordered = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=grey)
        return predict_image(np.asarray(bordered, np.uint8), detector, estimator)

    return predict


def box_predictor(detector: Detector) -> Predict:
    def predict(path: Path) -> dict[str, Any]:
        image = read_picture(path)
        found = [{"box": list(each.box), "score": each.score} for each in detector.detect(frame_of(image))]
        return {"height": image.shape[0], "width": image.shape[1], "faces": found}

    return predict


def measure_faces(
    labels: Sequence[Path], root: Path | None, border: float, folders: Folders
) -> Iterator[dict[str, Any]]:
    """Yield one entry a row and file of labels; say why a row cannot run."""
    for row in ESTIMATORS:
        try:
            detector = configured_detector(DetectorConfig.model_validate({"kind": row.detector}))
            estimator, size = row.open(folders)
        except EdgeAgenderError as error:
            print(f"skipped: {row.title}: {error}", file=sys.stderr)
            continue
        for path in labels:
            report = evaluate_faces(path, face_predictor(detector, estimator, border), root)
            figures = {name: value for name, value in report.items() if name not in ("bands", "groups")}
            yield {"row": row.title, "labels": path.stem, "size_bytes": size, **figures}


def measure_boxes(labels: Path, root: Path | None, folders: Folders) -> Iterator[dict[str, Any]]:
    """Yield one entry a detector; say why one cannot run."""
    for row in DETECTORS:
        try:
            detector, size = row.open(folders, LEAST_SCORE)
        except EdgeAgenderError as error:
            print(f"skipped: {row.title}: {error}", file=sys.stderr)
            continue
        report = evaluate_boxes(labels, box_predictor(detector), root)
        yield {"row": row.title, "input": row.input, "size_bytes": size, **report}


def sampled(path: Path, count: int | None, folder: Path) -> Path:
    """Return a file with `count` of the labels, evenly spread, written into `folder`; the file itself for None."""
    if count is None:
        return path
    chosen = folder / path.name
    if path.suffix == ".json":
        chosen.write_text(json.dumps(_spread(json.loads(path.read_text()), count)))
        return chosen
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        rows = _spread(list(reader), count)
    with chosen.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, reader.fieldnames or [])
        writer.writeheader()
        writer.writerows(rows)
    return chosen


def _spread(rows: list[Any], count: int) -> list[Any]:
    return [rows[index * len(rows) // count] for index in range(min(count, len(rows)))]


def face_table(entries: Sequence[dict[str, Any]]) -> str:
    rows = [f"{'':40}{'labels':12}{'n':>6}{'found':>9}{'age error':>11}{'in group':>10}{'gender':>9}{'size':>11}"]
    for entry in entries:
        inside = "" if entry.get("in_group") is None else f"{100 * entry['in_group']:.0f} %"
        rows.append(
            f"{entry['row']:40}{entry['labels']:12}{entry['images']:6d}{100 * entry['detected']:7.1f} %"
            f"{entry.get('mae_years', float('nan')):9.2f} y{inside:>10}"
            f"{100 * entry.get('gender_accuracy', float('nan')):7.1f} %{_kb(entry['size_bytes'])}"
        )
    return "\n".join(rows)


def box_table(entries: Sequence[dict[str, Any]]) -> str:
    heights = [name for name in entries[0] if name.startswith("min_height")] if entries else []
    rows = [f"{'':16}{'input':>10}{'n':>6}" + "".join(f"{name.removeprefix('min_height_'):>9}" for name in heights)]
    for entry in entries:
        figures = "".join(f"{entry[name]['ap']:9.3f}" for name in heights)
        rows.append(f"{entry['row']:16}{entry['input']:>10}{entry['images']:6d}{figures}{_kb(entry['size_bytes'])}")
    return "\n".join(rows)


def _kb(size_bytes: int | None) -> str:
    return f"{'':>11}" if size_bytes is None else f"{size_bytes / 1e3:8.0f} kB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("faces", "boxes"))
    parser.add_argument("labels", nargs="+", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--border", type=float, default=0.0)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--field", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    folders = Folders(options.models, options.field)
    with tempfile.TemporaryDirectory() as folder:
        labels = [sampled(path, options.sample, Path(folder)) for path in options.labels]
        roots = options.root or options.labels[0].parent
        if options.what == "boxes":
            entries = [entry for path in labels for entry in measure_boxes(path, roots, folders)]
        else:
            entries = list(measure_faces(labels, roots, options.border, folders))
    table = box_table if options.what == "boxes" else face_table
    print(json.dumps(entries, indent=1) if options.json else table(entries))


if __name__ == "__main__":
    run_script(main)
