"""The command as a person types it: help, one-line errors, exit codes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agender import __version__
from edge_agender.capture.sources.demo import load_sheet
from edge_agender.cli import VERBS, build_parser, main
from edge_agender.commands import check


def command(*words: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_agender", *words], capture_output=True, text=True, timeout=timeout_s
    )


def one_line(error: str, *words: str) -> None:
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("edge-agender: ")]
    assert len(lines) == 1, error
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def face_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic face before a plain wall."""
    tile = load_sheet()[3]
    height, width = tile.bgr.shape[:2]
    picture = np.full((240, 320, 3), 140, np.uint8)
    alpha = tile.alpha[..., None] / 255
    area = picture[60 : 60 + height, 100 : 100 + width]
    area[:] = (tile.bgr * alpha + area * (1 - alpha)).astype(np.uint8)
    path = tmp_path_factory.mktemp("faces") / "nobody.png"
    cv2.imwrite(str(path), picture)
    return path


def test_help_names_every_verb() -> None:
    text = build_parser().format_help()
    verbs = (
        "run",
        "check",
        "selftest",
        "predict",
        "benchmark",
        "models",
        "evaluate",
        "setup",
        "watch",
        "privacy-report",
    )
    for verb in verbs:
        assert f"\n    {verb}" in text, verb


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_flags_and_its_action(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "usage: edge-agender " + verb in capsys.readouterr().out


def test_version_and_no_arguments() -> None:
    assert command("--version").stdout.strip() == f"edge-agender {__version__}"
    bare = command()
    assert bare.returncode == 0
    assert "first steps" in bare.stdout


def test_check_says_ok_or_everything_that_is_wrong(tmp_path: Path) -> None:
    assert command("check", "--set", "source.kind=demo").stdout.startswith("ok: ")
    wrong = command("check", "--set", "mqtt.port=0", "--set", "mqtt.hots=x")
    assert wrong.returncode == 78
    assert len(wrong.stderr.splitlines()) == 2
    assert "Traceback" not in wrong.stderr


def test_predict_prints_one_object_a_picture(face_file: Path) -> None:
    done = command("predict", str(face_file), str(face_file))
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first == second
    assert (first["path"], first["width"], first["height"]) == (str(face_file), 320, 240)
    (face,) = first["faces"]
    x1, y1, x2, y2 = face["box"]
    assert 90 < x1 < x2 < 240
    assert 50 < y1 < y2 < 200
    assert face["score"] > 0.5
    assert 5 < face["age"]["years"] < 70
    assert face["age"]["sd"] > 0
    assert face["gender"]["label"] == ("female" if face["gender"]["p_female"] >= 0.5 else "male")


def test_predict_goes_on_after_a_picture_that_is_none(face_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff nothing")
    done = command("predict", str(bad), str(face_file))
    assert done.returncode == 65
    assert len(done.stdout.splitlines()) == 1
    one_line(done.stderr, str(bad))


@pytest.mark.parametrize("shape", [(1, 1, 3), (300, 200), (300, 200, 4), (5, 900, 3)])
def test_predict_takes_any_picture(shape: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.png"
    cv2.imwrite(str(path), np.full(shape, 90, np.uint8))
    assert main(["predict", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["faces"] == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["predict", "x.jpg", "--score-threshold", "7"], 64, "score-threshold"),
        (["predict", "x.jpg", "--estimator", "agender-ssrnot"], 72, "did you mean agender-ssrnet"),
        (["predict", "x.jpg", "--detector", "res10"], 72, "models add res10"),
        (["run", "--source", "/none.mp4", "--sink", "stdout"], 65, "/none.mp4"),
        (["run", "--source", "/dev/video99", "--sink", "stdout"], 66, "/dev/video99"),
        (["run", "--source", "demo", "--config", "/none.yaml"], 78, "/none.yaml"),
        (["check", "--broker", "--set", "mqtt.host=no.such.host.invalid"], 69, "unknown host"),
        (["benchmark", "--compare", "/none.json"], 64, "/none.json"),
        (["benchmark", "--faces", "many"], 64, "--faces many"),
        (["benchmark", "--threads", "0"], 64, "--threads 0"),
    ],
)
def test_an_expected_failure_is_one_line_with_its_own_code(
    words: list[str], code: int, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = command(*words)
    assert done.returncode == code, done.stderr
    one_line(done.stderr, says)


def test_without_picamera2_it_says_what_to_install() -> None:
    done = command("run", "--source", "picamera2", "--sink", "stdout")
    assert done.returncode == 66
    one_line(done.stderr, "python3-picamera2")


def test_a_reader_that_leaves_is_no_error() -> None:
    script = f"{sys.executable} -m edge_agender run --source demo --sink stdout | head -n 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_help_loads_neither_opencv_nor_an_interpreter() -> None:
    code = "import sys; from edge_agender.cli import main; main([]); print({'cv2', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().endswith("set()")


def test_a_path_that_may_not_be_looked_at_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(_options: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/closed/a.mp4")

    monkeypatch.setattr(check, "run", forbidden)
    assert main(["check"]) == 64
    one_line(capsys.readouterr().err, "/closed/a.mp4: Permission denied")


def test_a_preview_of_nothing_says_so_before_it_shows_an_address() -> None:
    done = command("preview", "/none.mp4")
    assert done.returncode == 65
    assert "http" not in done.stdout
    one_line(done.stderr, "/none.mp4: no such file")
