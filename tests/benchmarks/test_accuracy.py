from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.field.rows import DETECTORS, ESTIMATORS, Folders
from benchmarks.peers import frames


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames of the demo with one person each, and labels for them."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, frame in enumerate(frames(1, 2)):
        cv2.imwrite(str(folder / f"{number}.png"), frame.full)
    with (folder / "labels.csv").open("w", newline="") as out:
        csv.writer(out).writerows([["path", "age", "gender"], ["0.png", "30-39", "male"], ["1.png", "30-39", "male"]])
    return folder


def test_a_sample_is_spread_over_the_labels_and_keeps_their_columns(tmp_path: Path) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "out"
    out.mkdir()
    labels.write_text("path,age,gender,group\n" + "".join(f"{n}.jpg,{n},male,a\n" for n in range(10)))
    lines = accuracy.sampled(labels, 4, out).read_text().splitlines()
    assert lines == ["path,age,gender,group", "0.jpg,0,male,a", "2.jpg,2,male,a", "5.jpg,5,male,a", "7.jpg,7,male,a"]
    assert accuracy.sampled(labels, None, out) == labels
    assert len(accuracy.sampled(labels, 99, out).read_text().splitlines()) == 11
    scenes = tmp_path / "scenes.json"
    scenes.write_text(json.dumps(list(range(6))))
    assert json.loads(accuracy.sampled(scenes, 3, out).read_text()) == [0, 2, 4]


def test_ours_are_measured_and_what_is_missing_says_how_to_get_it(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    entries = list(accuracy.measure_faces([pictures / "labels.csv"], pictures, 0.0, Folders()))
    rows = {entry["row"]: entry for entry in entries}
    assert rows["agender-edge"]["size_bytes"] > rows["agender-ssrnet"]["size_bytes"] > 100_000
    assert all(entry["detected"] == 1.0 and entry["in_group"] is not None for entry in entries)
    assert "agender-edge" in accuracy.face_table(entries)
    skipped = capsys.readouterr().err
    for row in ESTIMATORS:
        assert row.title in rows or f"skipped: {row.title}: " in skipped
    assert "python -m benchmarks.field.convert" in skipped
    assert "edge-agender models add res10" in skipped


def test_detectors_are_measured_and_what_is_missing_says_how_to_get_it(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    detector, _ = DETECTORS[0].open(Folders(), 0.5)
    (face,) = accuracy.box_predictor(detector)(pictures / "0.png")["faces"]
    x1, y1, x2, y2 = face["box"]
    labels = tmp_path / "labels.json"
    scene = {"path": "0.png", "width": 640, "height": 480, "faces": [{"box": [x1, y1, x2 - x1, y2 - y1]}]}
    labels.write_text(json.dumps([scene]))
    entries = list(accuracy.measure_boxes(labels, pictures, Folders()))
    assert entries[0]["row"] == "face-ssd"
    assert entries[0]["min_height_0.04"]["ap"] == 1.0
    assert "face-ssd" in accuracy.box_table(entries)
    skipped = capsys.readouterr().err
    assert "skipped: YuNet-n: give --models" in skipped
    assert "edge-agender models add res10" in skipped


@pytest.mark.parametrize("row", DETECTORS[1:4], ids=lambda row: row.title)
def test_others_detectors_find_the_faces_that_ours_finds(row, pictures: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("onnxruntime", reason="others' detectors need ONNX Runtime: pip install onnxruntime")
    models = Path(__file__).parents[2] / "../shared/models"
    if not models.is_dir():
        pytest.skip("needs ../shared/models")
    both = (each.open(Folders(models=models), 0.5)[0] for each in (DETECTORS[0], row))
    (ours,), (theirs,) = (accuracy.box_predictor(detector)(pictures / "1.png")["faces"] for detector in both)
    np.testing.assert_allclose(ours["box"], theirs["box"], atol=0.25 * (ours["box"][2] - ours["box"][0]))
