import csv
import json

import numpy as np
import pytest

from edge_agender.commands.evaluate.figures import evaluate_boxes, evaluate_faces, read_box_labels, read_face_labels
from edge_agender.errors import MediaError
from tests.commands.evaluate.test_scoring import noisy_scenes, reference


def face(years, p_female, box=(0, 0, 10, 10), sd=5.0):
    return {
        "box": list(box),
        "score": 0.9,
        "age": {"years": years, "sd": sd},
        "gender": {"label": "female" if p_female >= 0.5 else "male", "p_female": p_female},
    }


def answers(by_name):
    """Return a predictor that knows its answers; an exception among them is raised."""

    def predict(path):
        faces = by_name["/".join(path.parts[-2:])]
        if isinstance(faces, Exception):
            raise faces
        return {"path": str(path), "width": 100, "height": 100, "faces": faces}

    return predict


def write_labels(folder, rows, header="path,age,gender,group"):
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_the_labelled_person_is_large_and_near_the_middle(tmp_path):
    labels = write_labels(tmp_path, ["set/1.jpg,30,female,a"])
    beside = face(70, 0.1, box=(60, 0, 100, 42))
    faces = [beside, face(32, 0.9, box=(30, 30, 70, 70)), face(5, 0.2, box=(45, 45, 55, 55))]
    report = evaluate_faces(labels, answers({"set/1.jpg": faces}))
    assert (report["mae_years"], report["gender_accuracy"], report["detected"]) == (2.0, 1.0, 1.0)


def test_missed_silent_and_unreadable_pictures_are_counted_apart(tmp_path):
    labels = write_labels(tmp_path, [f"set/{number}.jpg,30,male,a" for number in range(4)])
    known = {
        "set/0.jpg": [face(31, 0.2)],
        "set/1.jpg": [],
        "set/2.jpg": [face(31, 0.2) | {"age": None, "gender": None}],
        "set/3.jpg": MediaError("set/3.jpg: not a picture"),
    }
    report = evaluate_faces(labels, answers(known))
    assert (report["images"], report["unreadable"], report["no_estimate"], report["n"]) == (3, 1, 1, 1)
    assert report["detected"] == pytest.approx(2 / 3, abs=1e-4)


def test_nobody_found_is_a_report_too(tmp_path):
    report = evaluate_faces(write_labels(tmp_path, ["set/1.jpg,30,male,a"]), answers({"set/1.jpg": []}))
    assert report == {"images": 1, "unreadable": 0, "no_estimate": 0, "detected": 0.0}


def test_no_picture_at_all_is_an_error(tmp_path):
    labels = write_labels(tmp_path, ["set/1.jpg,30,male,a"])
    with pytest.raises(MediaError, match="no picture can be read"):
        evaluate_faces(labels, answers({"set/1.jpg": MediaError("set/1.jpg: No such file")}))


def test_paths_are_relative_to_the_labels_or_to_the_folder_given(tmp_path):
    labels = write_labels(tmp_path, ["set/1.jpg,30,male,a"])
    asked = []

    def predict(path):
        asked.append(path)
        return {"width": 100, "height": 100, "faces": []}

    evaluate_faces(labels, predict)
    evaluate_faces(labels, predict, root=tmp_path / "elsewhere")
    assert asked == [tmp_path / "set/1.jpg", tmp_path / "elsewhere/set/1.jpg"]


def test_progress_is_told(tmp_path):
    labels = write_labels(tmp_path, ["set/1.jpg,30,male,a", "set/2.jpg,30,male,a"])
    told = []
    evaluate_faces(labels, answers({"set/1.jpg": [], "set/2.jpg": []}), progress=lambda *at: told.append(at))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["set/1.jpg,thirty,male,a"], "line 2"),
        (["set/1.jpg,30,male,a", "set/2.jpg,-1,male,a"], "line 3"),
        (["set/1.jpg,nan,male,a"], "line 2"),
        (["set/1.jpg,30,unknown,a"], "male or female"),
        (["set/1.jpg,39-30,male,a"], "group of ages"),
        (["set/1.jpg,30-,male,a"], "line 2"),
        ([",30,male,a"], "wants a path"),
        ([], "no labels"),
    ],
)
def test_a_label_that_cannot_be_used_names_its_line(tmp_path, rows, says):
    with pytest.raises(MediaError, match=says):
        read_face_labels(write_labels(tmp_path, rows))


def test_a_missing_column_and_a_foreign_file(tmp_path):
    with pytest.raises(MediaError, match="no column gender"):
        read_face_labels(write_labels(tmp_path, ["a,1"], header="path,age"))
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(MediaError):
        read_face_labels(tmp_path / "picture.csv")
    with pytest.raises(MediaError, match="No such file"):
        read_face_labels(tmp_path / "none.csv")


def test_ages_may_be_groups(tmp_path):
    rows = [f"set/1.jpg,{age},male,a" for age in ("30-39", "70+", "34", "0-2")]
    ages = [label.ages for label in read_face_labels(write_labels(tmp_path, rows))]
    assert ages == [(30, 40), (70, 96), (34, 34), (0, 3)]


def test_a_group_is_optional(tmp_path):
    (label,) = read_face_labels(write_labels(tmp_path, ["set/1.jpg,30,Female"], header="path,age,gender"))
    assert (label.female, label.group) == (True, "all")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "JSON"),
        ("{}", "expected a list"),
        ("[]", "no labels"),
        ('[{"path": "x"}]', "entry 1"),
        ('[{"path": "x", "height": 9, "faces": [{"box": [1, 2, 3]}]}]', "entry 1"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_box_labels_that_cannot_be_used(tmp_path, text, says):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(MediaError, match=says):
        read_box_labels(tmp_path / "labels.json")


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_faces_agree_with_the_judges_own(tmp_path, seed, grouped):
    random = np.random.default_rng(seed)
    rows, known = [], {}
    for number in range(200):
        path = f"set/{number}.jpg"
        age = random.choice(["20-29", "30-39", "70+"]) if grouped else random.integers(0, 100)
        rows.append(f"{path},{age},{random.choice(['male', 'female'])},{random.choice(['a', 'b'])}")
        faces = []
        for _ in range(random.integers(0, 4)):
            x, y, w, h = random.uniform(0, 50, 4)
            faces.append(face(float(random.uniform(0, 90)), float(random.random()), box=(x, y, x + w, y + h)))
        known[path] = faces
    labels = write_labels(tmp_path, rows)
    judge = reference()
    judge.SIZES = dict.fromkeys(known, (100, 100))
    expected = judge.score_faces(str(labels), known)
    report = evaluate_faces(labels, answers(known))
    if grouped:
        assert report["in_group"] == pytest.approx(expected["exact"], abs=1.1e-4)
    for name in ("images", "detected", "n", "mae_years", "bias_years", "within_5", "gender_accuracy"):
        assert report[name] == pytest.approx(expected[name], abs=1.1e-3), name
    for part in ("bands", "groups"):
        assert list(report[part]) == list(expected[part])
        for name, figures in expected[part].items():
            both = figures.keys() & report[part][name].keys()
            assert both >= {"n", "mae_years", "gender_accuracy"}
            assert {key: report[part][name][key] for key in both} == pytest.approx(
                {key: figures[key] for key in both}, abs=1.1e-3
            )


@pytest.mark.parametrize("seed", range(3))
def test_boxes_agree_with_the_judges_own(tmp_path, seed):
    labels, predictions = noisy_scenes(seed)
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(labels))
    report = evaluate_boxes(path, answers(predictions))
    expected = reference().score_boxes(str(path), predictions)
    for height, figures in expected.items():
        assert report[height] == pytest.approx(figures, abs=1.1e-4)
    assert report["images"] == len(labels)


def test_labels_written_by_a_spreadsheet_are_read(tmp_path):
    path = tmp_path / "labels.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([["path", "age", "gender"], ["set/ä.jpg", "30", "female"]])
    assert read_face_labels(path)[0].path == "set/ä.jpg"
