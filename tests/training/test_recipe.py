"""The recipe from labelled pictures to a model that can be added, whole, on pictures of nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge_agender.commands.models.install import add_model, model_info
from edge_agender.vision.estimator import ModelEstimator
from tests.support.paths import ROOT
from tests.training.test_people import demo_faces, fairface

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install -e '.[train]'")
# Not imported here: what PyTorch loads later in the same process crashes behind TensorFlow.
if find_spec("tensorflow") is None:
    pytest.skip("conversion needs TensorFlow: pip install -e '.[train]'", allow_module_level=True)

LONGEST_S = 300.0


def started(data: Path, out: Path, **more: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHON": sys.executable, "TEACHER_MINUTES": "0.1", "STUDENT_MINUTES": "0.05"} | more
    words = [ROOT / "training" / "train-estimator", data, out]
    return subprocess.Popen(
        words, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def steps(out: Path, stage: str) -> int:
    return int(torch.load(out / f"{stage}.pt", weights_only=False)["step"])


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_fairface_becomes_a_model(tmp_path: Path) -> None:
    data, out, user = fairface(tmp_path / "data", train=80, val=6), tmp_path / "out", tmp_path / "user"
    first = started(data, out, TEACHER_MINUTES="30", SAVE_SECONDS="0")
    ends_s = time.monotonic() + LONGEST_S
    while not (out / "teacher.pt").is_file():
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < ends_s
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    before, cut_ns = steps(out, "teacher"), (out / "patches.npy").stat().st_mtime_ns
    assert not (out / "my-ssrnet.tflite").exists()

    second = started(data, out)
    said, _ = second.communicate(timeout=LONGEST_S)
    assert second.returncode == 0, said
    assert "training.estimator.train teacher" in said
    assert said.count("--resume") == 1, "the teacher's, and not the student's, which had not begun"
    assert steps(out, "teacher") > before > 0
    assert (out / "patches.npy").stat().st_mtime_ns == cut_ns

    spec = add_model("my-ssrnet", out, user)
    (estimate,) = ModelEstimator(spec).estimate([np.full((64, 64, 3), 90, np.uint8)])
    assert estimate is not None
    card = model_info("my-ssrnet", user)["card"]
    assert "| train | " in card
    assert "CC BY 4.0" in card
    assert "| val | 6 |" in card


@pytest.mark.slow
def test_a_folder_with_a_table_becomes_a_model_that_says_its_terms(tmp_path: Path) -> None:
    data, out = demo_faces(tmp_path / "data", 160), tmp_path / "out"
    (data / "terms.csv").write_text("collection,terms\nmine,bought of everybody in them\n")
    done = started(data, out, NAME="shop")
    said, _ = done.communicate(timeout=LONGEST_S)
    assert done.returncode == 0, said
    assert "models add shop --from" in said
    assert "bought of everybody in them" in (out / "manifest.yaml").read_text()
    assert "bought of everybody in them" in (out / "shop.md").read_text()
