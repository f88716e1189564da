"""Labelled pictures in the layouts that people have them in, from pictures of nobody."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender.capture.sources.demo import load_sheet
from edge_agender.commands.evaluate.scoring import Judged
from training.estimator import patches
from training.estimator.data import load
from training.estimator.describe import UNSTATED, card, terms_of
from training.estimator.people import read_people, years_of


def table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def fairface(folder: Path, train: int = 6, val: int = 3) -> Path:
    """Write FairFace's published layout, its pictures nothing but ovals."""
    ages = ("0-2", "3-9", "20-29", "more than 70")
    for name, count in (("train", train), ("val", val)):
        (folder / name).mkdir(parents=True)
        rows = []
        for number in range(1, count + 1):
            picture = np.full((224, 224, 3), 70, np.uint8)
            cv2.ellipse(picture, (112, 112), (50, 70), 0, 0, 360, (150, 170, 200), -1)
            cv2.imwrite(str(folder / name / f"{number}.jpg"), picture)
            sex = "Female" if number % 2 else "Male"
            row = {"file": f"{name}/{number}.jpg", "age": ages[number % 4], "gender": sex, "race": "Black"}
            rows.append(row | {"service_test": "True"})
        table(folder / f"fairface_label_{name}.csv", rows)
    return folder


def demo_faces(folder: Path, count: int) -> Path:
    """Write a folder with a table: the demo's synthetic faces, each person twice."""
    faces = load_sheet()
    (folder / "mine").mkdir(parents=True)
    rows = []
    for number in range(count):
        face = faces[number % len(faces)]
        picture = cv2.copyMakeBorder(face.bgr, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(90, 90, 90))
        cv2.imwrite(str(folder / "mine" / f"{number}.png"), picture)
        age, sex = str(round(face.facts.age_years)), face.facts.gender
        rows.append({"path": f"mine/{number}.png", "age": age, "gender": sex, "person": str(number // 2)})
    table(folder / "labels.csv", rows)
    return folder


@pytest.mark.parametrize(("text", "years"), [("34", 34.0), ("30-39", 35.0), ("0-2", 1.5), ("70+", 75.0), ("7.5", 7.5)])
def test_a_group_of_ages_stands_for_its_middle(text: str, years: float) -> None:
    assert years_of(text) == years


def test_fairface_as_published_is_read_and_its_val_part_never_trains(tmp_path: Path) -> None:
    people = read_people(fairface(tmp_path))
    assert [person.path for person in people] == [
        *(f"train/{i}.jpg" for i in range(1, 7)),
        "val/1.jpg",
        "val/2.jpg",
        "val/3.jpg",
    ]
    assert {person.part for person in people if person.path.startswith("val/")} == {"held_out"}
    assert {person.part for person in people if person.path.startswith("train/")} <= {"training", "calibration"}
    assert [person.years for person in people[:4]] == [6.5, 25.0, 75.0, 1.5]
    assert [person.female for person in people[:2]] == [True, False]
    assert people[0].group == "Black"


def test_any_folder_with_a_table_is_read_and_a_person_is_in_one_part_only(tmp_path: Path) -> None:
    rows = [
        {"path": f"mine/{number}.png", "age": str(20 + number), "gender": "f", "person": f"person {number // 10}"}
        for number in range(300)
    ]
    table(tmp_path / "labels.csv", rows)
    table(tmp_path / "boxes.csv", [{"path": "mine/0.png", "x": "3"}])  # not labels
    people = read_people(tmp_path)
    assert len(people) == 300
    for start in range(0, 300, 10):
        assert len({person.part for person in people[start : start + 10]}) == 1
    assert {person.part for person in people} >= {"training", "held_out"}


def test_unknown_ages_and_genders_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"path": f"{i}.png", "age": age, "gender": sex}
        for i, (age, sex) in enumerate((("", "female"), ("3", "unknown"), ("4", "male")))
    ]
    table(tmp_path / "labels.csv", rows)
    assert [person.path for person in read_people(tmp_path)] == ["2.png"]


def test_a_wrong_label_is_said_with_its_line(tmp_path: Path) -> None:
    table(tmp_path / "labels.csv", [{"path": "0.png", "age": "old", "gender": "male"}])
    with pytest.raises(SystemExit, match="line 2: an age is a number or a group"):
        read_people(tmp_path)


def test_a_folder_without_labels_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no labelled pictures"):
        read_people(tmp_path)


def test_patches_are_cut_of_every_picture_even_where_no_face_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = fairface(tmp_path / "data")
    out = tmp_path / "patches.npy"
    monkeypatch.setattr("sys.argv", ["patches", "--data", str(data), "--out", str(out)])
    patches.main()
    held = load(data, out, "held_out")
    assert len(held) == 3
    assert held.patches.shape == (3, 112, 112, 3)
    assert held.patches.std() > 5


def cut(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path) -> None:
    monkeypatch.setattr("sys.argv", ["patches", "--data", str(data), "--out", str(out)])
    patches.main()


def test_cutting_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out, whole = demo_faces(tmp_path / "data", 6), tmp_path / "out.npy", tmp_path / "whole.npy"
    cut(monkeypatch, data, whole)
    looked_at: list[int] = []
    find = patches.largest

    def stops(detector: object, image: np.ndarray) -> object:
        looked_at.append(1)
        if len(looked_at) == 4:
            raise KeyboardInterrupt
        return find(detector, image)  # type: ignore[arg-type]

    monkeypatch.setattr(patches, "largest", stops)
    with pytest.raises(KeyboardInterrupt):
        cut(monkeypatch, data, out)
    cut(monkeypatch, data, out)
    assert len(looked_at) == 4 + 3, "three were known, the fourth is looked at again"
    np.testing.assert_array_equal(np.load(out), np.load(whole))


def test_a_picture_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = demo_faces(tmp_path / "data", 3)
    (data / "mine/1.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit, match=r"mine/1\.png.*: mend it, or take it out"):
        cut(monkeypatch, data, tmp_path / "out.npy")


def test_patches_of_other_labels_and_empty_parts_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = demo_faces(tmp_path / "data", 4), tmp_path / "out.npy"
    cut(monkeypatch, data, out)
    with pytest.raises(SystemExit, match="is in the part 'calibration': give some hundred pictures"):
        load(data, out, "calibration")
    table(data / "more.csv", [{"path": "mine/0.png", "age": "30", "gender": "male"}])
    with pytest.raises(SystemExit, match="cut for 4 labels"):
        load(data, out, "training")


def test_the_terms_are_those_written_down_or_the_card_says_that_there_are_none(tmp_path: Path) -> None:
    assert "CC BY 4.0" in terms_of(fairface(tmp_path / "fairface"), ["train", "val"])["val"]
    data = demo_faces(tmp_path / "mine", 2)
    assert terms_of(data, ["mine"]) == {"mine": UNSTATED}
    (data / "terms.csv").write_text("collection,terms\nmine,ours\n")
    assert terms_of(data, ["mine"]) == {"mine": "ours"}
    assert "| mine | 2 | 0 | 0 | ours |" in card("x", read_people(data), {"mine": "ours"}, [judged()])
    (data / "terms.csv").write_text("collection\nmine\n")
    with pytest.raises(SystemExit, match="columns collection and terms"):
        terms_of(data, ["mine"])


def judged() -> Judged:
    return Judged((30, 30), True, "mine", 33.0, 4.0, 0.8)
