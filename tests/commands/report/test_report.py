"""The report of a recording: the right people, the error beside a hand count, and a page that loads nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge_agender.audience.measures import Person, Visit
from edge_agender.cli import main
from edge_agender.commands.report.advice import advice
from edge_agender.commands.report.collect import Faces, Recording
from edge_agender.commands.report.page import render
from edge_agender.commands.report.shares import shares
from edge_agender.commands.report.truth import compare, read_truth
from edge_agender.config.settings import Config
from edge_agender.errors import UsageError
from tests.support.paths import SHARED
from tests.support.videos import empty, write
from tests.support.visits import visit as any_visit

BANDS = (13, 18, 25, 35, 45, 55, 65)


def visit(entered_s: float, left_s: float, gender: str = "female", years: float = 30.0, looked_s: float = 2.0) -> Visit:
    person = Person(years, 5.0, gender, 0.9)
    return any_visit(
        first_utc_s=entered_s, last_utc_s=left_s, dwell_s=left_s - entered_s, attention_s=looked_s, person=person,
        is_viewer=True,
    )  # fmt: skip


def recording(*visits: Visit, **faces: object) -> Recording:
    values = {"heights_px": [60.0] * 40} | faces
    people = tuple((t / 10, sum(v.first_utc_s <= t / 10 <= v.last_utc_s for v in visits)) for t in range(600))
    return Recording("lobby.mp4", 60.0, tuple(visits), people, Faces(**values), (120.0,))


def truth_file(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "visits.csv"
    path.write_text("\n".join(["entered,left,gender,age,looked", *rows]) + "\n")
    return path


def compared(tmp_path: Path, found: Recording, *rows: str):
    return compare([found], read_truth(truth_file(tmp_path, *rows), [found.name]))


def test_a_hand_count_says_what_went_wrong(tmp_path: Path) -> None:
    found = recording(visit(1, 6), visit(10, 14, "male", 50), visit(15, 18, "male", 50), visit(40, 44))
    result = compared(tmp_path, found, "0:01,0:06,f,25-34,yes", "10,18,f,48,no", "25,30,m,,")
    assert (len(result.pairs), len(result.missed), len(result.extra), len(result.again)) == (2, 1, 1, 1)
    assert result.genders() == (1, 1, 0)
    assert result.age_errors() == [pytest.approx(0), pytest.approx(2)]
    assert result.looks() == (1, 2)
    assert "counted by hand 3, found 4: 2 the same, 1 missed, 1 that were nobody, 1 counted again" in result.sentences()


def test_of_two_who_came_together_each_finds_their_own(tmp_path: Path) -> None:
    found = recording(visit(1, 6, "male"), visit(1, 6, "female"))
    assert compared(tmp_path, found, "1,6,f,,", "1,6,m,,").genders() == (2, 0, 0)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("x,5,f,,", "no time"),
        ("9,5,f,,", "left before entered"),
        ("1,5,cat,,", "gender is f or m"),
        ("1,5,f,old,", "no age"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        read_truth(truth_file(tmp_path, "1,2,f,,", row), ["a.mp4"])
    assert "visits.csv:3" in str(raised.value)


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="no column entered"):
        read_truth(path, ["a.mp4"])


def test_several_recordings_need_the_column_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must name one of"):
        read_truth(truth_file(tmp_path, "1,2,f,,"), ["a.mp4", "b.mp4"])


def test_shares_add_up_to_the_viewers_and_know_their_error() -> None:
    people = [Person(24.0, 5.0, "female", 0.9), Person(None, None, "unknown", None)]
    cells = {(share.gender, share.band): share for share in shares(people, BANDS)}
    assert sum(share.viewers for share in cells.values()) == pytest.approx(2)
    assert cells["female", "18-24"].viewers == pytest.approx(0.9 * 0.464, abs=0.01)
    assert cells["male", "18-24"].viewers == pytest.approx(0.1 * 0.464, abs=0.01)
    assert cells["female", "18-24"].sd == pytest.approx(0.49, abs=0.01)
    assert cells["unknown", "unknown"].viewers == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"heights_px": [20.0] * 40}, "move the camera nearer"),
        ({"heights_px": []}, "No face was found"),
        ({"heights_px": [], "too_small": 30}, "too small"),
        ({"cut": 20}, "cut by the edge"),
        ({"unconfirmed": 50}, "unconfirmed"),
    ],
)
def test_what_is_wrong_with_the_camera_is_said(changes: dict[str, object], says: str) -> None:
    lines = advice([recording(visit(1, 6), **changes)])
    assert any(says in line.text and not line.good for line in lines), lines


def test_nothing_is_said_against_a_good_camera() -> None:
    assert all(line.good for line in advice([recording(visit(1, 6))]))


def test_the_page_loads_nothing_and_escapes_names(tmp_path: Path) -> None:
    odd = Recording("<b>&.mp4", 9.0, (visit(1, 6),), ((1.0, 1),), Faces([60.0]), (99.0,))
    page = render([odd], compare([odd], []), Config())
    assert "<b>" not in page
    assert not re.search(r"(src|href)=|url\(|<script|@import|<img|data:", page)
    assert "nobody there" in page


def test_a_recording_without_faces_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film, page = write(tmp_path / "empty.mp4", empty()), tmp_path / "report.html"
    assert main(["report", str(film), "--config", "/dev/null", "--out", str(page)]) == 0
    said = capsys.readouterr().out
    assert "empty.mp4: 2 s, nobody was counted\nNo face was found. Stand where the audience stands" in said
    text = page.read_text()
    assert "No face was found" in text
    assert "Who they were" not in text


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/videos")
def test_the_shared_video_has_its_woman(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video, out = SHARED / "videos/head-pose-face-detection-female.gif", tmp_path / "report.html"
    arguments = ["report", str(video), "--config", "/dev/null", "--out", str(out), "--json"]
    assert main([*arguments, "--truth", str(truth_file(tmp_path, "0,2,f,,yes"))]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["truth"]["matched"] == 1
    assert figures["truth"]["gender"] == {"right": 1, "wrong": 0, "unknown": 0}
    assert "head-pose-face-detection-female.gif" in out.read_text()


def test_no_recording_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none.mp4"), "--config", "/dev/null"]) == 65
    assert capsys.readouterr().err.count("\n") == 1
