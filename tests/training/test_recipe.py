"""The recipe from labelled pictures to a TFLite file, whole, on pictures of nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agender.inference.tflite import Network
from tests.support.paths import ROOT
from tests.training.test_people import fairface

pytest.importorskip("torch", reason="training needs PyTorch: pip install -e '.[train]'")
pytest.importorskip("tensorflow", reason="conversion needs TensorFlow: pip install -e '.[train]'")


@pytest.mark.slow
def test_pictures_laid_out_as_fairface_become_a_model(tmp_path: Path) -> None:
    data, out = fairface(tmp_path / "data", train=80, val=6), tmp_path / "out"
    script = ROOT / "training" / "train-estimator"
    environment = os.environ | {"PYTHON": sys.executable, "TEACHER_MINUTES": "0.05", "STUDENT_MINUTES": "0.05"}
    for _ in range(2):  # the second time, it goes on with what is there
        subprocess.run([script, data, out], check=True, env=environment, cwd=ROOT)
    made = Network((out / "my-ssrnet.tflite").read_bytes())
    assert made.input.shape == (1, 64, 64, 3)
    assert [tensor.shape for tensor in made.outputs.values()] == [(1, 23)]
