"""Both trainings, end to end on made-up pictures: every part fits the next, and what comes out can be resumed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install torch")
pytest.importorskip("matplotlib", reason="training draws its curves with matplotlib")

from edge_agender import decode  # noqa: E402
from training.detector import train as detector  # noqa: E402
from training.estimator import train as estimator  # noqa: E402
from training.estimator.data import SCALE, plain, warp  # noqa: E402
from training.estimator.network import BINS, SSRNet, years  # noqa: E402


def test_the_detector_trains_and_resumes(tmp_path: Path) -> None:
    words = ["--smoke", "--out", str(tmp_path), "--minutes"]
    detector.main([*words, "0.03"])
    first = torch.load(tmp_path / "last.pt", weights_only=False)["step"]
    detector.main([*words, "0.06", "--resume"])
    assert torch.load(tmp_path / "last.pt", weights_only=False)["step"] > first > 0
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert "ap_8" in json.loads((tmp_path / "history.json").read_text())[-1]


def test_the_estimator_trains_in_its_three_stages(tmp_path: Path) -> None:
    for stage in ("teacher", "student", "settle"):
        estimator.main([stage, "--smoke", "--minutes", "0.03", "--out", str(tmp_path)])
        row = json.loads((tmp_path / f"{stage}.json").read_text())[-1]
        assert math.isfinite(row["aaf_mae"])
        assert 0 <= row["utkface_gender"] <= 1


def test_stages_are_decoded_as_the_run_time_does() -> None:
    net = SSRNet().eval()
    with torch.no_grad():
        said = net(torch.randn(1, 3, 64, 64))
    stages = range(1, len(BINS) + 1)
    parts = [[said[f"{letter}{k}"][0].numpy() for k in stages] for letter in "pod"]
    assert decode.stagewise(*parts)[0] == pytest.approx(float(years(said)[0]), abs=0.05)


def test_an_unjittered_crop_is_the_middle_of_its_patch() -> None:
    patch = np.zeros((112, 112, 3), np.uint8)
    patch[:, 56:] = 200
    crop = plain(patch)
    assert pytest.approx(1.4 / 1.7 * 112 / 64) == SCALE
    assert (crop[:, :31] == 0).all()
    assert (crop[:, 33:] == 200).all()
    assert (warp(patch, 0.0, 1.0, (0.0, 0.0), True)[:, :31] == 200).all()
